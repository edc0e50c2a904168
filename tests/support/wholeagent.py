"""The whole agent as a process of its own, hearing an idle street through real PortAudio."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator.grid.broker import start_broker
from tests.support.pole import earshot
from tests.support.simmic import DEVICE, Card
from tests.support.sound import as_int16, noise

RATE_HZ = 48_000
STREET_S = 30.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

SETTINGS = """
node = {{ site = "s", cell = "c", id = "n1" }}
audio = {{ source = "portaudio:{device}", rate_hz = {rate_hz} }}
time.source = "sim"
broker.url = "{url}"
store.directory = "{home}/store"
runtime.directory = "{home}"
keys = {{ evidence = "{home}/node.pem", locator_public = ["{home}/node.pub.pem"] }}
"""


@dataclass
class Agent:
    """`ready_s` is how long it took from its start to its first sound."""

    process: subprocess.Popen[bytes]
    card: Card
    log: Path
    ready_s: float

    @property
    def rss_mb(self) -> float:
        """Resident memory in MB (10^6 bytes)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * _PAGE_BYTES / 1e6

    @property
    def cpu_s(self) -> float:
        """Time on a processor so far, without that of children."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS_PER_S

    @property
    def counts(self) -> tuple[int, int]:
        """Open files and threads."""
        proc = Path(f"/proc/{self.process.pid}")
        return len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir()))

    def cpu_share(self, seconds: float) -> float:
        """Of one core, over the next seconds."""
        before_s, began_s = self.cpu_s, time.monotonic()
        time.sleep(seconds)
        return (self.cpu_s - before_s) / (time.monotonic() - began_s)


@contextmanager
def agent_in(home: Path, settings: str = "") -> Iterator[Agent]:
    """Ready, with a broker on loopback; ended in order. Skips where the card cannot be made."""
    card = Card(home, as_int16(noise(STREET_S)), RATE_HZ, 20.0)
    (home / "node.pub.pem").write_text(earshot("key", "new", home / "node.pem").stdout)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(home / "notify"))
    listening.settimeout(60)
    env = {**card.env, "NOTIFY_SOCKET": str(home / "notify")}
    with start_broker() as broker, listening, (home / "log").open("wb") as log:
        told = SETTINGS.format(device=DEVICE, rate_hz=RATE_HZ, url=broker.url, home=home)
        (home / "node.toml").write_text(told + settings)
        command = [sys.executable, "-m", "agent.cli.main", "run"]
        began_s = time.monotonic()
        process = subprocess.Popen(
            [*command, "--config", str(home / "node.toml")], env=env, stderr=log
        )
        try:
            while listening.recv(4096) != b"READY=1":
                if process.poll() is not None:
                    pytest.skip((home / "log").read_text())
            yield Agent(process, card, home / "log", time.monotonic() - began_s)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)
