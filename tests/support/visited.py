"""A node at a pole as a technician and an operator meet it: real sound card, broker and locator.

The card plays known sound through ALSA and PortAudio, a second one is silent; the locator is a
process that can be stopped; the node's patience is short (`tests.support.hasty`).
"""

import io
import json
import subprocess
import sys
import time
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

from agent.adapters.keyfile import Ed25519FileSigner
from agent.core.records import Body
from simulator.centre.locator import registry
from simulator.centre.locator.store import EventStore
from simulator.cli import main as cli
from simulator.grid.broker import start_broker
from tests.support.pole import earshot
from tests.support.simmic import DEVICE, Card
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

NODE = "s/c/n1"
SILENT = "silent"
PATIENCE_S = 90.0
BLAST_EVERY_S = 4.0


def street(has_blasts: bool = True) -> np.ndarray:
    sound = noise(4 * BLAST_EVERY_S)
    for number in range(4 * has_blasts):
        add_blast(sound, (number + 0.5) * BLAST_EVERY_S * RATE_HZ, 0.4)
    return as_int16(sound)


class Visited:
    """`program` is what runs the node. Everything is stopped by `close`."""

    def __init__(self, home: Path, has_blasts: bool = True, program: str = "tests.support.hasty"):
        self.home, self._program, self._open = home, program, ExitStack()
        self.card = Card(home, street(has_blasts), RATE_HZ, 0.0)
        Card(home, np.zeros(RATE_HZ, np.int16), RATE_HZ, 0.0, name=SILENT)
        self.url = self._open.enter_context(start_broker("auto")).url
        for name in ("locator", "operator", "evidence"):
            key = Ed25519FileSigner.create(home / f"{name}.pem")
            (home / f"{name}.pub.pem").write_text(key.public_pem())
        row = {"site": "s", "cell": "c", "node": "n1", "position": {"enu_m": [0, 0, 5]}}
        row |= {"key": (home / "evidence.pub.pem").read_text(), "sigma_m": 1.0}
        (home / "nodes.json").write_text(json.dumps([row]))
        self.config = home / "node.toml"
        self.config.write_text(
            f"""
            node = {{ site = "s", cell = "c", id = "n1" }}
            audio.source = "portaudio:{DEVICE}"
            time.source = "sim"
            broker.url = "{self.url}"
            store.directory = "{home}/store"
            runtime.directory = "{home}/run"
            [keys]
            evidence = "{home}/evidence.pem"
            locator_public = ["{home}/locator.pub.pem"]
            operator_public = ["{home}/operator.pub.pem"]
            """
        )
        (home / "run").mkdir()
        self.env = {**self.card.env, "PYTHONUNBUFFERED": "1"}
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def close(self) -> None:
        for name in list(self._processes):
            self.stop(name)
        self._open.close()

    def locate(self) -> None:
        """The locator is at work."""
        words = ["locate", "--broker", self.url, "--registry", self.home / "nodes.json"]
        words += ["--store", self.home / "locator.sqlite", "--key", self.home / "locator.pem"]
        self._start("locator", "simulator.cli.main", *words)

    def run(self) -> None:
        """The node is at work."""
        self._start("node", self._program, "run", "--config", self.config)

    def _start(self, name: str, module: str, *words: object) -> None:
        with (self.home / f"{name}.log").open("a") as told:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                env=self.env,
                stdout=told,
                stderr=told,
                text=True,
            )

    def stop(self, name: str) -> None:
        """In order."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def is_running(self, name: str = "node") -> bool:
        return self._processes[name].poll() is None

    def log(self, name: str = "node") -> str:
        return (self.home / f"{name}.log").read_text()

    def kept(self) -> bool:
        """Whether an operator's settings have been kept."""
        path = self.home / "store" / "remote-settings.json"
        return path.exists() and bool(json.loads(path.read_bytes())["kept"])

    def check(self, *words: object) -> subprocess.CompletedProcess[str]:
        return earshot("check", "--config", self.config, *words)

    def rows(self) -> dict[str, dict[str, str]]:
        """The rows of `earshot check --json`, by check, the worst of each."""
        told = json.loads(self.check("--json").stdout)["rows"]
        return {one["check"]: one for one in reversed(told)}

    def until(self, condition, what: str, patience_s: float = PATIENCE_S) -> None:
        give_up_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < give_up_s, f"waited for {what}:\n{self.log()[-2000:]}"
            time.sleep(0.3)

    def order(self, *words: str) -> tuple[int, str]:
        """Exit code of `earshot-sim command`, and what it printed."""
        told = io.StringIO()
        files = ["--registry", self.home / "nodes.json", "--key", self.home / "operator.pem"]
        files += ["--broker", self.url, "--handovers", self.home / "handovers.jsonl"]
        with redirect_stdout(told), redirect_stderr(told):
            code = cli.main(["command", NODE, *words, *map(str, files)])
        return code, told.getvalue()

    def bodies(self, kind: type) -> list[Body]:
        """What the locator holds of a kind, read while it is stopped."""
        store = EventStore(
            self.home / "locator.sqlite",
            registry.load(self.home / "nodes.json").keys,
            Ed25519FileSigner.load(self.home / "locator.pem"),
        )
        try:
            return [body for body in store.bodies() if isinstance(body.data, kind)]
        finally:
            store.close()
