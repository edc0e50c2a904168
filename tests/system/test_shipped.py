"""The shipped units, unaltered, under a real systemd, installed as the README says.

A container has neither a sound device nor a receiver: the node hears a file, and believes its
host's clock though nobody vouches for it. That the unit lets a microphone through is not shown.
"""

import errno
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.adapters.keyfile import Ed25519FileSigner
from agent.core.clock.node_state import NodeState
from agent.core.records.kinds import Impulse, Start
from simulator.centre.locator import registry
from simulator.centre.locator.store import EventStore
from tests.support import container
from tests.support.container import Container
from tests.support.shipped import EARSHOT, ROOT, Town, machine_with_wheels

CHRONY = ROOT / "config/chrony/socket.conf"
LOCATOR_HOME = "/var/lib/earshot-locator"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(container.why_not()), reason=container.why_not() or "can be tried"),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A Debian with wheels in two folders; nothing is installed."""
    with machine_with_wheels(tmp_path_factory.mktemp("wheel")) as running:
        yield running


@pytest.fixture(scope="module")
def town(machine: Container) -> Town:
    """Both units serve: the locator was started while the broker was away, then the node."""
    made = Town(machine)
    made.install_node()
    machine.run("systemctl", "stop", "mosquitto")
    made.install_locator()
    machine.until(
        lambda: "trying again" in machine.journal("earshot-locator"),
        "locator that waits for its broker",
        lambda: machine.journal("earshot-locator"),
    )
    assert machine.path(f"{LOCATOR_HOME}/locator.pem").exists(), machine.journal("earshot-locator")
    made.pin_the_locator()
    machine.run("systemctl", "start", "mosquitto")
    machine.until(
        lambda: "the broker is there now" in machine.journal("earshot-locator"),
        "locator that finds its broker",
        lambda: machine.journal("earshot-locator"),
    )
    made.start_node()
    made.said("earshot", "node n1 listens to file:")
    return made


def test_a_shot_is_receipted(town: Town) -> None:
    """From the unit's sound to the locator's unit's signed receipt, with no death in between."""
    shot = town.heard("impulse")
    town.machine.until(lambda: town.receipted() >= shot, "receipt of the shot")
    state = town.machine.state("earshot", "ActiveState", "NRestarts")
    assert state == {"ActiveState": "active", "NRestarts": "0"}, town.machine.journal("earshot")
    locator = town.machine.state("earshot-locator", "ActiveState", "NRestarts")
    assert locator == {"ActiveState": "active", "NRestarts": "0"}


def test_a_technician_reads_the_state_beside_the_unit(town: Town) -> None:
    """It is open to whoever logs in, and names the boot, which the confinement could hide: without
    it `earshot time` would call it one of an earlier boot. (Here nspawn tells another one.)"""
    path = town.machine.path("/run/earshot/state.json")
    town.machine.until(path.exists, "state of the node")
    told = town.machine.run(
        "runuser", "-u", "nobody", "--", "cat", "/run/earshot/state.json"
    ).stdout
    state = msgspec.json.decode(told, type=NodeState)
    assert (state.source, len(state.boot)) == ("urn:earshot:s:c:n1", 36)


def test_the_node_reaches_what_is_its_groups(town: Town) -> None:
    """Though the unit has users of its own and a system that it cannot write to: it opens the
    devices of dialout, not those of others, and sends to the socket that chrony was told to share.

    The devices are the null device under other names; which kinds of device the unit lets through
    needs real ones. Nobody listens at the socket: refused is reached.
    """
    for name, group in (("line", "dialout"), ("disk", "disk")):
        town.machine.run("mknod", "--mode=660", f"/dev/earshot-{name}", "c", "1", "3")
        town.machine.run("chgrp", group, f"/dev/earshot-{name}")
    chrony = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
    socket = "'/run/earshot-chrony.sock'"
    town.machine.run("python3", "-c", f"{chrony}s.bind({socket})")
    for step in re.findall(r"^ExecStartPost=\+(.+)$", CHRONY.read_text("utf-8"), re.MULTILINE):
        town.machine.run(*step.split())
    town.machine.path("/root/try.py").write_text(f"{chrony}print(s.connect_ex({socket}))")
    town.machine.run("install", "-m", "644", "/root/try.py", "/opt/earshot/try.py")
    try_all = "cat /dev/earshot-line && ! cat /dev/earshot-disk && echo line alone"
    try_all += "; python3 /opt/earshot/try.py; echo tried; sleep 60"
    unit = (ROOT / "systemd/earshot.service").read_text("utf-8")
    unit = re.sub("ExecStart=.*", f'ExecStart=/bin/sh -c "{try_all}"', unit)
    unit = re.sub("(State|Runtime|Working)Directory.*\n|WatchdogSec.*\n", "", unit)
    unit = unit.replace("Type=notify", "Type=exec")  # a shell does not notify
    town.machine.path("/run/systemd/system/groups.service").write_text(unit)
    town.machine.run("systemctl", "start", "groups")
    town.said("groups", "tried\n")
    said = town.machine.journal("groups")
    assert "line alone\n" in said, said
    assert f"\n{errno.ECONNREFUSED}\n" in said, said


def test_a_second_locator_on_the_store_is_refused(town: Town) -> None:
    """One line that names the store, exit 2; the first serves on. Only the owner reads it."""
    store = f"{LOCATOR_HOME}/locator.sqlite"
    second = town.machine.run(
        *("runuser", "-u", "earshot-locator", "--", f"{EARSHOT}-sim", "locate"),
        *("--broker", "mqtt://127.0.0.1:1883", "--registry", "/etc/earshot/nodes.json"),
        *("--store", store, "--key", f"{LOCATOR_HOME}/locator.pem"),
        check=False,
    )
    told = f"earshot-sim: {store}: in use by another process\n"
    assert (second.returncode, second.stderr) == (2, told)
    assert town.machine.state("earshot-locator", "ActiveState") == {"ActiveState": "active"}
    for name in ("locator.sqlite", "locator.sqlite-wal", "locator.pem"):
        found = town.machine.path(f"{LOCATOR_HOME}/{name}").stat()
        assert stat.S_IMODE(found.st_mode) == 0o600, name


def test_a_stop_is_clean(town: Town, tmp_path: Path) -> None:
    """SIGTERM: exit 0, no kill, no failure; what was said is held, whole and verified, and the
    node's store knows that it is receipted."""
    ended = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
    for unit in ("earshot", "earshot-locator"):
        town.machine.run("systemctl", "stop", unit)
        state = town.machine.state(unit, *ended, "ExecMainCode")
        assert state == {**ended, "ExecMainCode": "1"}, town.machine.journal(unit)
    assert "INFO stopped: SIGTERM" in town.machine.journal("earshot")
    for home in ("earshot", "earshot-locator"):
        shutil.copytree(town.machine.path(f"/var/lib/{home}"), tmp_path / home)
    known = registry.load(town.machine.path("/etc/earshot/nodes.json"))
    signer = Ed25519FileSigner.load(tmp_path / "earshot-locator/locator.pem")
    path = tmp_path / "earshot-locator/locator.sqlite"
    with closing(EventStore(path, known.keys, signer)) as store:
        kinds = [type(body.data) for body in store.bodies()]
        assert store.chain_faults() == []
    with closing(sqlite3.connect(tmp_path / "earshot/outbox.sqlite")) as outbox:
        running, receipted = outbox.execute("SELECT running, receipted_seq FROM node").fetchone()
    assert (kinds[0], Impulse in kinds, running) == (Start, True, 0)
    assert 0 < receipted <= len(kinds)
