"""An enrolled node at work in its town, the operator at the desk, and the locator that listens."""

import io
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records import Body
from agent.core.units import rfc3339
from agent.ports import Connected
from simulator.cli import main as cli
from tests.support.links import Collector
from tests.support.town import Town, but_for_the_clock

NODE, TOPIC = "town/north/n1", "earshot/v1/town/north/n1"
PATIENCE_S = 120.0


class Street:
    """One node of a town, run by `program`; the locator takes a step whenever someone waits."""

    def __init__(self, folder: Path, program: str, seconds: float) -> None:
        folder.mkdir(exist_ok=True)
        self.town, self.folder, self._program = Town(folder, seconds), folder, program
        self.town.enrol()
        self.handovers = folder / "earshot-handovers.jsonl"
        self._open = ExitStack()
        self.store, self._locator = self._open.enter_context(self.town.locator())
        self.process: subprocess.Popen[str] | None = None
        self.until(lambda: self._locator.is_listening, "the locator")

    def close(self) -> None:
        self.kill()
        self._open.close()
        self.town.broker.stop()

    def kill(self) -> None:
        """Nothing is said any more, not even good-bye."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def work(self) -> None:
        """The node runs, and obeys."""
        if self.process is None:
            self.process = self.town.node(self._program)
        self.until(lambda: self.order("ping")[0] == 0, "a node that obeys", pause_s=0.5)

    def until(self, condition: Callable[[], bool], what: str, pause_s: float = 0.02) -> None:
        give_up_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > give_up_s:
                pytest.fail(f"waited {PATIENCE_S} s for {what}")
            self._locator.step(time.monotonic_ns(), lambda: rfc3339(time.time_ns()))
            time.sleep(pause_s)

    def bodies(self, kind: type) -> list[Body]:
        """What the locator holds of a kind, in the order of the chain."""
        return [body for body in self.store.bodies() if isinstance(body.data, kind)]

    def order(
        self, *words: str | Path, role: str = "operator", sent: bool = True
    ) -> tuple[int, str]:
        """Exit code of `earshot-sim command` and all it prints; `role` is whose certificate."""
        office, told = self.town.office, io.StringIO()
        files = ["--registry", office / "nodes.json"]
        if "--handovers" not in words:
            files += ["--handovers", self.handovers]
        if sent:
            files += ["--broker", self.town.url, "--ca", office / "ca.crt"]
            files += ["--certificate", office / f"{role}.crt"]
            files += ["--certificate-key", office / f"{role}.key"]
        if "--envelope" not in words:
            files += ["--key", office / "operator.pem"]
        with redirect_stdout(told), redirect_stderr(told):
            code = cli.main(["command", NODE, *map(str, [*words, *files])])
        return code, but_for_the_clock(told.getvalue())

    @property
    def operator(self) -> Ed25519FileSigner:
        return Ed25519FileSigner.load(self.town.office / "operator.pem")

    @contextmanager
    def link(self, *subscriptions: str) -> Iterator[Collector]:
        """A link with the operator's certificate."""
        office = self.town.office
        options = MqttOptions(
            url=self.town.url,
            client_id="any",
            subscriptions=subscriptions,
            ca=office / "ca.crt",
            cert=office / "operator.crt",
            key=office / "operator.key",
        )
        collector = Collector(MqttLink(options))
        collector.publisher.connect()
        collector.wait(Connected)
        yield collector
        collector.publisher.close()
