"""A town as its people set it up: registrar, broker of config/, locator, and a node to enrol."""

import io
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import soundfile

from agent.adapters.host import Discipline, SystemClock
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.cli import main as agent_cli
from agent.core.units import NS_PER_MS, rfc3339
from simulator.centre.locator import registry
from simulator.centre.locator.service import SESSION_EXPIRY_S, SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.stated_clock import StatedClock
from simulator.cli import main as simulator_cli
from simulator.grid.broker import free_port
from tests.support.enrolled import Hut
from tests.support.mosquitto import ShippedBroker

MAINS = {"agent": agent_cli.main, "simulator": simulator_cli.main}
BROKER_FILES = ("ca.crt", "ca.crl", "broker.crt", "broker.key")
RATE_HZ = 16_000
UNVOUCHED = "nobody vouches for this computer's clock, "


def told(program: str, *words: str | Path) -> str:
    """What a command prints when all goes well."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = MAINS[program](list(map(str, words)))
    assert (code, but_for_the_clock(err.getvalue())) == (0, "")
    return out.getvalue()


def but_for_the_clock(text: str) -> str:
    """Without the line on a clock that nobody vouches for: the matter of the machine here."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(UNVOUCHED))


class Town:
    """A registrar, a broker with its files, and one node that is not enrolled yet.

    The node's street is noise for `seconds`.
    """

    def __init__(self, folder: Path, seconds: float = 1.0) -> None:
        self.office, self.broker_folder = folder / "registrar", folder / "broker"
        self.broker_folder.mkdir()
        port = free_port()
        self.url = f"mqtts://127.0.0.1:{port}"
        words = told("simulator", "registrar", "init", "--broker", self.url, "--dir", self.office)
        self.registrar_words = words.split()[-1]
        self.deliver_to_broker()
        self.broker = ShippedBroker(self.broker_folder, port)
        self.hut = Hut(folder / "n1", url=self.url)
        sound = np.random.default_rng(7).normal(0, 300, round(seconds * RATE_HZ)).astype(np.int16)
        soundfile.write(self.hut.folder / "street.wav", sound, RATE_HZ)
        lines = (
            f'audio.source = "file:{self.hut.folder}/street.wav"',
            'time.source = "sim"',
            f'runtime.directory = "{self.hut.folder}/run"',
            self.hut.config.read_text(),
        )
        self.hut.config.write_text("\n".join(lines))

    def deliver_to_broker(self) -> None:
        for name in BROKER_FILES:
            shutil.copy(self.office / name, self.broker_folder)

    def enrol(self) -> None:
        """What technician and registrar do, and say to each other."""
        request, config = self.hut.folder / "n1.request", ("--config", self.hut.config)
        words = told("agent", "enrol", "request", "--out", request, *config).split()[-1]
        heard = ("--fingerprint", words.replace("-", " "))
        place = ("--at", "40.4406,-79.9959,251")
        told("simulator", "registrar", "sign", request, *heard, *place, "--dir", self.office)
        answer, trust = request.with_suffix(".response"), ("--registrar", self.registrar_words)
        told("agent", "enrol", "install", answer, *trust, *config)

    def node(self, program: str = "agent.cli.main") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", program, "run", "--config", str(self.hut.config)],
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def locator(self) -> Iterator[tuple[EventStore, LocatorService]]:
        """The locator as the user of that name, with what the registrar made for it."""
        known = registry.load(self.office / "nodes.json")
        signer = Ed25519FileSigner.load(self.office / "locator.pem")
        options = MqttOptions(
            url=self.url,
            client_id="locator",
            subscriptions=SUBSCRIPTIONS,
            session_expiry_s=SESSION_EXPIRY_S,
            ca=self.office / "ca.crt",
            cert=self.office / "locator.crt",
            key=self.office / "locator.key",
        )
        with (
            closing(EventStore(self.broker_folder / "locator.sqlite", known.keys, signer)) as store,
            closing(MqttLink(options)) as link,
        ):
            kept_right = StatedClock(SystemClock(), lambda: Discipline(True, 5 * NS_PER_MS, "none"))
            yield store, LocatorService(store, link, known, clock=kept_right)

    def unreceipted(self) -> int:
        """How many records still wait in the node's store."""
        with closing(sqlite3.connect(self.hut.folder / "store" / "outbox.sqlite")) as outbox:
            return int(outbox.execute("SELECT count(*) FROM record").fetchone()[0])


def ended_of(node: subprocess.Popen[str], service: LocatorService) -> Callable[[], bool]:
    """Whether `node` has ended; each time it is asked, the locator takes a step."""

    def has_ended() -> bool:
        service.step(time.monotonic_ns(), lambda: rfc3339(time.time_ns()))
        return node.poll() is not None

    return has_ended
