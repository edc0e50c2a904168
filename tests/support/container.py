"""A container with a real systemd as its first process: systemd-nspawn, over a root only read.

What is written goes to memory and ends with the container; it has a loopback and no other network,
no sound device, no pulse and no GPIO, and MemoryMax is not enforced in it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60.0
TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "setpriv")


def why_not() -> str:
    """What is missing for a container here; empty where it can be tried."""
    if os.geteuid() != 0:
        return "a container needs root"
    missing = [name for name in TOOLS if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Container:
    """Runs until it is left; `binds` are folders of the host that it reads, by their place in it.

    Raises OSError where the kernel lets no container boot.
    """

    def __init__(self, root: Path, binds: dict[str, Path]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        bound = [f"--bind-ro={source}:{place}" for place, source in binds.items()]
        dies_with_us = ["setpriv", "--pdeathsig=TERM"]
        command = ["systemd-nspawn", "--quiet", f"--directory={root}", "--volatile=overlay"]
        command += ["--system-call-filter=adjtimex clock_adjtime"]  # as to any process elsewhere
        command += ["--private-network", "--register=no", "--keep-unit", "--console=pipe", *bound]
        self._nspawn = subprocess.Popen(
            [*dies_with_us, *command, "--boot"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._leader = 0
        try:
            self.until(self._is_up, "container that runs")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command as root inside, with an environment of its own."""
        inside = ["nsenter", f"--target={self._leader}", "--all", "--"]
        clean = ["env", "-i", "--chdir=/", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        done = subprocess.run(
            [*inside, *clean, *words],
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def path(self, inside: str) -> Path:
        """A file of the container as the host reaches it."""
        return Path(f"/proc/{self._leader}/root") / inside.lstrip("/")

    def state(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as `systemctl show` tells them."""
        shown = self.run("systemctl", "show", f"--property={','.join(properties)}", unit).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def journal(self, unit: str) -> str:
        """What a unit said, and what systemd said of it."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}").stdout

    def until(
        self, is_true: Callable[[], bool], what: str, details: Callable[[], str] = str
    ) -> None:
        """Wait until `is_true`; fails after PATIENCE_S, with `details`."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_true():
            assert time.monotonic() < deadline_s, f"no {what}: {details()}"
            time.sleep(0.2)

    def close(self) -> None:
        """Power off, or pull the plug: nothing of it stays behind."""
        try:
            if self._leader:
                self.run("systemctl", "poweroff", check=False)
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._nspawn.poll() is None:
                if self._leader:
                    os.kill(self._leader, signal.SIGKILL)
                self._nspawn.kill()
                self._nspawn.wait(20)
            self._log.close()

    def _is_up(self) -> bool:
        if self._nspawn.poll() is not None:
            self._log.seek(0)
            told = self._log.read().decode(errors="replace").strip().splitlines()
            raise OSError(f"systemd-nspawn ended: {told[-1] if told else 'without a word'}")
        if not self._leader:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
            self._leader = int((children.read_text().split() or ["0"])[0])
        if not self._leader:
            return False
        asked = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return asked in ("running", "degraded")
