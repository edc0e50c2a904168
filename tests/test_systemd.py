"""The unit that runs the daemon: valid, confined, and not so confined that the daemon dies."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "systemd" / "earshot.service"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
    ),
]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def calls_in(name: str) -> set[str]:
    """The system calls of a group such as @clock, groups within it included."""
    if not name.startswith("@"):
        return {name}
    listed = (
        line.split("#")[0].strip() for line in analyze("syscall-filter", name).stdout.split("\n")
    )
    members = {line for line in listed if line and line != name}
    return set().union(*(calls_in(member) for member in members))


def allowed_calls() -> set[str]:
    """What the SystemCallFilter lines allow, applied in order as systemd does."""
    allowed: set[str] = set()
    for line in UNIT.read_text("utf-8").splitlines():
        key, _, words = line.partition("=")
        if key == "SystemCallFilter":
            called = set().union(*(calls_in(name) for name in words.removeprefix("~").split()))
            allowed = allowed - called if words.startswith("~") else allowed | called
    return allowed


def test_the_clock_may_be_read_and_not_set() -> None:
    """A forbidden call kills the daemon, so all that read the clock's quality are allowed."""
    allowed = allowed_calls()
    assert {"adjtimex", "clock_adjtime", "ioctl", "sendto"} <= allowed
    assert not {"clock_settime", "settimeofday", "reboot", "mount"} & allowed
    assert "CapabilityBoundingSet=" in UNIT.read_text("utf-8").splitlines()


def test_the_unit_is_well_formed_and_confined(tmp_path: Path) -> None:
    """systemd finds nothing to say about it, and calls its exposure at most 2.5 of 10."""
    runnable = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8")
    runnable.write_text(text.replace("/opt/earshot/.venv/bin/earshot", shutil.which("true") or ""))
    verified = analyze("verify", "--man=no", str(runnable))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    confined = analyze("security", "--offline=true", "--threshold=25", str(runnable))
    assert confined.returncode == 0, confined.stdout
