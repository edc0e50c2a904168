"""The shipped unit under a real systemd, hearing through real PortAudio: what hangs is restarted.

The card is ALSA's plugin, so that the confinement around it is the shipped one; what kinds of
device the unit lets through needs real ones. The disk hangs in its syncs, the detector by a patch
of the test's, capture inside PortAudio, the process by SIGSTOP.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import container
from tests.support.container import Container
from tests.support.disk import preload
from tests.support.shipped import ROOT, Town, machine_with_wheels
from tests.support.simmic import Card
from tests.support.sound import as_int16, noise

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(container.why_not()), reason=container.why_not() or "can be tried"),
]

PLACE = Path("/opt/earshot/bench")
TRACE = "/var/lib/earshot/trace"
SETTINGS = """
node = { site = "s", cell = "c", id = "n1" }
audio = { source = "portaudio:simmic", rate_hz = 48000 }
time = { source = "system", require_sync = false }
broker.url = "mqtt://127.0.0.1:1883"
[keys]
evidence = "/var/lib/earshot/evidence.pem"
locator_public = ["/etc/earshot/locator.pub.pem"]
"""
PATCH = f"""
import os, sys, threading, time

def block():
    while "agent.app.wiring" not in sys.modules:
        time.sleep(0.01)
    from agent.app.node import Node
    step = Node.step
    def hang(*words):
        while os.path.exists("{PLACE}/detector"):
            time.sleep(0.01)
        return step(*words)
    Node.step = hang

if any("run" in word for word in getattr(sys, "orig_argv", [])):
    threading.Thread(target=block, daemon=True).start()
"""
DROP_IN = f"""[Service]
Environment=ALSA_CONFIG_PATH={PLACE}/alsa.conf PYTHONPATH={PLACE}
Environment=LD_PRELOAD={PLACE}/disk.so DISK_WATCH=/var/lib/earshot DISK_FAULT={PLACE}/disk
Environment=DISK_TRACE={TRACE}
"""
WATCHDOG_S = 10
READY_S = 15


class Pole:
    """A node of the shipped unit, and the ailments of what it stands on."""

    def __init__(self, machine: Container, bench: Path) -> None:
        self.machine = machine
        town = Town(machine)
        town.install_node()
        machine.run("cp", "/root/node.pub.pem", "/etc/earshot/locator.pub.pem")
        machine.path("/etc/earshot/earshot.toml").write_text(SETTINGS)
        Card(bench, as_int16(noise(2.0)), 48_000, 0.0, place=PLACE)
        preload(bench)
        (bench / "sitecustomize.py").write_text(PATCH)
        machine.run("mkdir", str(PLACE))
        for file in bench.iterdir():
            machine.path(f"{PLACE}/{file.name}").write_bytes(file.read_bytes())
        machine.run("chmod", "-R", "a+rX", str(PLACE))

    def supply(self, text: str = "") -> None:
        """The unit as it is shipped, with what the test needs, and `text`."""
        folder = "/run/systemd/system/earshot.service.d"
        self.machine.run("mkdir", "-p", folder)
        self.machine.path(f"{folder}/test.conf").write_text(DROP_IN + text)
        self.machine.run("systemctl", "daemon-reload")

    def put(self, name: str, text: str) -> None:
        self.machine.path(f"{PLACE}/{name}").write_text(text)

    def traced(self) -> bytes:
        """What the disk has been told so far."""
        trace = self.machine.path(TRACE)
        return trace.read_bytes() if trace.exists() else b""

    def take(self, name: str) -> None:
        self.machine.path(f"{PLACE}/{name}").unlink(missing_ok=True)

    def show(self, what: str) -> str:
        return self.machine.state("earshot", what)[what]

    def ready_in(self, most_s: float) -> float:
        """How long it takes until the unit is active."""
        return self.until(lambda: self.show("ActiveState") == "active", most_s)

    def dead_in(self, pid: str, most_s: float) -> float:
        """How long it takes until that process is no more the unit's."""
        return self.until(lambda: self.show("MainPID") != pid, most_s)

    def until(self, is_so: Callable[[], bool], most_s: float) -> float:
        began_s = time.monotonic()
        while not is_so():
            passed_s = time.monotonic() - began_s
            assert passed_s < most_s, self.machine.journal("earshot")[-3000:]
            time.sleep(0.05)
        return time.monotonic() - began_s


@pytest.fixture(scope="module")
def pole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pole]:
    """A Debian with the node installed as the README says; it is not started."""
    with machine_with_wheels(tmp_path_factory.mktemp("wheel")) as running:
        yield Pole(running, tmp_path_factory.mktemp("bench"))


def test_it_is_ready_when_it_has_heard_and_waits_for_that(pole: Pole) -> None:
    """Without its microphone it keeps starting, says what it waits for, and the machine's boot goes
    on; with the first sound it is ready."""
    pole.supply()
    pole.put("simmic.ails", "unplugged")
    pole.machine.run("systemctl", "start", "--no-block", "earshot")
    pole.machine.until(
        lambda: "no such device" in pole.show("StatusText"),
        "word of what is missing",
        lambda: pole.machine.journal("earshot"),
    )
    time.sleep(4)
    assert pole.show("ActiveState") == "activating"
    pid = pole.show("MainPID")
    pole.take("simmic.ails")
    pole.ready_in(5 + 1)
    assert (pole.show("MainPID"), pole.show("NRestarts")) == (pid, "0")
    pole.machine.until(lambda: pole.show("StatusText") == "hearing", "word that it hears")


def test_a_read_that_never_returns_is_left_and_heard_again(pole: Pole) -> None:
    """With the unit's own times: noticed, told in the journal with the part to touch, and hearing
    again within 30 s."""
    began_s, pid = time.monotonic(), pole.show("MainPID")
    pole.put("simmic.ails", "hangs")
    pole.dead_in(pid, 30)
    pole.take("simmic.ails")
    pole.ready_in(READY_S)
    assert time.monotonic() - began_s <= 30
    journal = pole.machine.journal("earshot")
    assert re.search(r"microphone hangs: no read has returned for 12 s: unplug it", journal)
    assert "Traceback" not in journal


def test_an_unplugged_card_costs_no_restart(pole: Pole) -> None:
    """Replugged after a while it is heard again within 5 s, by the same process."""
    pid = pole.show("MainPID")
    pole.put("simmic.ails", "unplugged")
    pole.until(lambda: "no such device" in pole.show("StatusText"), 6)
    pole.take("simmic.ails")
    pole.until(lambda: pole.show("StatusText") == "hearing", 5)
    assert pole.show("MainPID") == pid


@pytest.mark.parametrize(
    ("part", "file", "word"),
    [
        ("capture", "simmic.ails", "hangs"),
        ("detector", "detector", "hangs"),
        ("store", "disk", "hangs"),
        ("the process", "", ""),
    ],
)
def test_what_hangs_is_killed_and_ready_again(pole: Pole, part: str, file: str, word: str) -> None:
    """Killed within WatchdogSec and a second, ready within 15 s more. The store hangs from its
    first sync on: while there is nothing to keep, nothing hangs."""
    if pole.show("WatchdogUSec") != f"{WATCHDOG_S}s":
        pole.supply(f"WatchdogSec={WATCHDOG_S}\n")
        pole.machine.run("systemctl", "restart", "earshot")
    pole.ready_in(READY_S)
    time.sleep(2)
    pid = pole.show("MainPID")
    if file:
        pole.put(file, word)
    else:
        pole.machine.run("systemctl", "kill", "--signal=STOP", "earshot")
    if part == "store":
        pole.until(lambda: re.search(rb"h outbox\S* 0 0\n", pole.traced()) is not None, 70)
    killed_s = pole.dead_in(pid, WATCHDOG_S + 1 + READY_S)
    if file:
        pole.take(file)
    ready_s = pole.ready_in(READY_S)
    print(f"{part}: killed after {killed_s:.1f} s, ready {ready_s:.1f} s later")
    assert killed_s <= WATCHDOG_S + 1
    assert pole.show("MainPID") != pid


def test_the_unit_never_gives_up(pole: Pole) -> None:
    """However it ends; and what a card's longest hangs need is waited for."""
    told = {
        "Type": "notify", "Restart": "always", "StartLimitIntervalUSec": "0",
        "NotifyAccess": "main", "RestartUSec": "2s",
    }  # fmt: skip
    assert pole.machine.state("earshot", *told) == told
    assert "WatchdogSec=90" in (ROOT / "systemd/earshot.service").read_text("utf-8").splitlines()


def test_the_hardware_watchdog_takes_its_settings(pole: Pole) -> None:
    """systemd reads the shipped file and finds nothing wrong in it."""
    folder = "/etc/systemd/system.conf.d"
    pole.machine.run("mkdir", "-p", folder)
    pole.machine.run("install", "-m", "644", "/root/watchdog.conf", f"{folder}/earshot.conf")
    pole.machine.run("systemctl", "daemon-reexec")
    shown = pole.machine.run("systemctl", "show", "--property=RuntimeWatchdogUSec").stdout
    assert shown == "RuntimeWatchdogUSec=15s\n"
