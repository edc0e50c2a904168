"""Brokers of four families with the fewest settings that turn MQTT on, and a bridge between two.

Mosquitto and NATS are installed programs. aedes (npm) and amqtt (PyPI) are brought by their own
package managers into a folder of their own, once for a run; without those, or without a network,
the tests that want them skip and say so.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from simulator.grid.broker import free_port
from tests.support.links import until
from tests.support.mosquitto import PROGRAM as MOSQUITTO

KINDS = ("mosquitto", "nats", "aedes", "amqtt")
FETCH_S = 240.0
AEDES, AMQTT = "aedes@1.2.0", "amqtt==0.12.1"
_AEDES_SCRIPT = """
const { Aedes } = require('aedes')
Aedes.createBroker().then(one => require('net').createServer(one.handle).listen(%d, '127.0.0.1'))
"""
_AMQTT_SCRIPT = """
import asyncio
from amqtt.broker import Broker
async def main():
    config = {"listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:%d"}}}
    await Broker(config).start()
    await asyncio.Event().wait()
asyncio.run(main())
"""


class BareBroker:
    """One broker process on a port of the loopback; `kill` and `start` as often as one likes."""

    def __init__(self, kind: str, directory: Path, more: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.kind, self.port = kind, free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._command, self._env = _SETUPS[kind](directory, self.port, more)
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )
        until(self._answers, f"{self.kind} to listen")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    close = kill

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self._log.read_text(errors="replace")[-2_000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


Setup = tuple[list[str], dict[str, str] | None]


def _mosquitto(directory: Path, port: int, more: str) -> Setup:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    user = "user root\n" if os.geteuid() == 0 else ""  # else it drops to one without our files
    conf = directory / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{user}{more}")
    return [MOSQUITTO, "-c", str(conf)], None


def _nats(directory: Path, port: int, more: str) -> Setup:
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("nats-server is not installed")
    conf = directory / "nats.conf"
    store = f'jetstream {{ store_dir: "{directory}" }}'
    conf.write_text(f"server_name: n\nport: -1\nmqtt {{ port: {port} }}\n{store}\n")
    return [program, "-c", str(conf)], None


def _aedes(directory: Path, port: int, more: str) -> Setup:
    folder = _fetched("npm", AEDES)
    script = folder / f"broker-{port}.js"
    script.write_text(_AEDES_SCRIPT % port)
    return ["node", str(script)], None


def _amqtt(directory: Path, port: int, more: str) -> Setup:
    folder = _fetched("pip", AMQTT)
    script = directory / "broker.py"
    script.write_text(_AMQTT_SCRIPT % port)
    return [sys.executable, str(script)], {**os.environ, "PYTHONPATH": str(folder)}


_SETUPS: dict[str, Callable[[Path, int, str], Setup]] = {
    "mosquitto": _mosquitto,
    "nats": _nats,
    "aedes": _aedes,
    "amqtt": _amqtt,
}


@cache
def _fetched(by: str, package: str) -> Path:
    """A folder with that package; the test is skipped where it cannot be had."""
    folder = _folder() / by
    folder.mkdir(parents=True, exist_ok=True)
    if by == "npm":
        if not (shutil.which("npm") and shutil.which("node")):
            pytest.skip("npm is not installed")
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package]
    else:
        command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), package]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=FETCH_S, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{package} cannot be fetched within {FETCH_S:.0f} s")
    if ended.returncode:
        pytest.skip(f"{package} cannot be fetched: {ended.stderr.strip().splitlines()[-1:]}")
    return folder


@cache
def _folder() -> Path:
    """For all that is fetched, as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="earshot-brokers-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
