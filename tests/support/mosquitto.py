"""Mosquitto by the files of config/mosquitto, as shipped but for folder and port."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from simulator.grid.broker import free_port
from tests.support.links import until

CONFIG = Path(__file__).parents[2] / "config" / "mosquitto"
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class ShippedBroker:
    """Runs in `directory`, which holds ca.crt, ca.crl, broker.crt and broker.key."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory, self.port = directory, port or free_port()
        conf = (CONFIG / "earshot.conf").read_text()
        for old, new in (
            ("/etc/mosquitto/earshot/", f"{directory}/"),
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
        ):
            assert old in conf
            conf = conf.replace(old, new)
        user = "user root\n" if os.geteuid() == 0 else ""
        (directory / "earshot.conf").write_text(user + conf)
        shutil.copy(CONFIG / "earshot.acl", directory)
        (directory / "earshot.acl").chmod(0o600)
        self.start()

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            [str(PROGRAM), "-c", str(self.directory / "earshot.conf")], stdout=log, stderr=log
        )
        log.close()
        until(self._answers, "the broker")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
