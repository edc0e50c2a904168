"""The units: valid, confined, and not so confined that what they run dies.

That it lives in them, `tests/system/test_shipped.py` shows.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.cli.run import POWER_OFF_CODE

SYSTEMD = Path(__file__).parents[1] / "systemd"
NODE, LOCATOR = (SYSTEMD / f"earshot{name}.service" for name in ("", "-locator"))
EXPOSURE = {NODE: 17, LOCATOR: 14}
"""In tenths, as `systemd-analyze security` of systemd 252 counts. Both ask the kernel how good the
clock is, by a call that can set it too: that counts 0.3, though neither has the capability."""

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


def allowed_calls(unit: Path) -> set[str]:
    """What the SystemCallFilter lines allow, applied in order as systemd does."""
    allowed: set[str] = set()
    for line in unit.read_text("utf-8").splitlines():
        key, _, words = line.partition("=")
        if key == "SystemCallFilter":
            called = set().union(*(calls_in(name) for name in words.removeprefix("~").split()))
            allowed = allowed - called if words.startswith("~") else allowed | called
    return allowed


@pytest.mark.parametrize("unit", EXPOSURE, ids=lambda unit: unit.stem)
def test_the_clock_may_be_read_and_not_set(unit: Path) -> None:
    """A forbidden call fails, so all that read the clock's quality are allowed."""
    allowed = allowed_calls(unit)
    assert {"adjtimex", "clock_adjtime", "ioctl", "sendto"} <= allowed
    assert not {"clock_settime", "settimeofday", "reboot", "mount"} & allowed
    lines = unit.read_text("utf-8").splitlines()
    assert "CapabilityBoundingSet=" in lines
    assert not [line for line in lines if line.startswith("ProtectClock=")]


def test_the_node_is_told_which_boot_it_is() -> None:
    """Its id is below /proc/sys, and `earshot time` compares it."""
    assert "ProcSubset" not in re.sub("(?m)^#.*", "", NODE.read_text("utf-8"))


@pytest.mark.parametrize("unit", EXPOSURE, ids=lambda unit: unit.stem)
def test_a_forbidden_call_is_refused_and_does_not_kill(unit: Path) -> None:
    """Libraries try calls that they can do without: numpy mbind, PortAudio sched_setscheduler."""
    assert "SystemCallErrorNumber=EPERM" in unit.read_text("utf-8").splitlines()
    assert not {"mbind", "sched_setscheduler", "clock_settime", "mount"} & allowed_calls(unit)


@pytest.mark.parametrize("unit", EXPOSURE, ids=lambda unit: unit.stem)
def test_a_unit_is_well_formed_and_confined(tmp_path: Path, unit: Path) -> None:
    """systemd finds nothing to say about it, and calls its exposure at most 1.7 or 1.4 of 10."""
    runnable = tmp_path / unit.name
    there = re.sub(r"/opt/earshot/\S+", shutil.which("true") or "", unit.read_text("utf-8"))
    runnable.write_text(there)
    verified = analyze("verify", "--man=no", str(runnable))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    threshold = f"--threshold={EXPOSURE[unit]}"
    confined = analyze("security", "--offline=true", threshold, str(runnable))
    assert confined.returncode == 0, confined.stdout


def test_the_panels_drop_in_fits_the_unit(tmp_path: Path) -> None:
    """Together they are valid, and the exit code at which the computer ends is the program's."""
    unit = tmp_path / "earshot.service"
    text = re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/true", NODE.read_text("utf-8"))
    unit.write_text(text)
    (tmp_path / "earshot.service.d").mkdir()
    panel = (SYSTEMD / "earshot-panel.conf").read_text("utf-8")
    (tmp_path / "earshot.service.d" / "panel.conf").write_text(panel)
    ended = analyze("verify", "--man=no", str(unit))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"RestartPreventExitStatus={POWER_OFF_CODE}" in panel
    assert f'"$$EXIT_STATUS" = {POWER_OFF_CODE} ' in panel
