"""What belongs to another user, met without root's powers: one line that names it, no crash.

The commonest way there: `earshot` was run once as root, and then as the user of its unit.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import serial  # noqa: F401 - the receiver imports it late, when nobody can

from agent.adapters.host import SystemClock
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.knowntime import KnownTime
from agent.adapters.nmea import NmeaParser
from agent.adapters.pps import DevicePps, SysfsPps
from agent.adapters.receiver import ByteReader, SerialReceiver
from agent.adapters.statefile import StateFile, read_state
from agent.adapters.ubx import UbxFrames
from agent.core.clock.node_state import NodeState
from agent.core.clock.time_signs import Refusal, TimeSign
from agent.errors import KeyFileError, SettingsError, StoreError, TimeError
from agent.settings import load
from simulator.centre.locator.store import EventStore
from tests.agent.cli.test_cli_time import post
from tests.support.drafts import outbox_of, signer_of
from tests.support.links import until
from tests.support.nobody import HAS_POWER, another_s, as_nobody, common

CLOCK = SystemClock()


@pytest.fixture
def home() -> Iterator[Path]:
    with common() as folder:
        yield folder


def test_a_key_is_for_its_owner_alone(home: Path) -> None:
    """Another user is told so in one line; the public half is for everyone."""
    Ed25519FileSigner.create(home / "evidence.pem")
    another_s(home / "evidence.pem")
    with (
        as_nobody(),
        pytest.raises(KeyFileError, match=r"evidence.pem: cannot be read: Perm"),
    ):
        Ed25519FileSigner.load(home / "evidence.pem")
    another_s(home)
    with as_nobody(), pytest.raises(KeyFileError, match=r"mine.pem: cannot be written: Perm"):
        Ed25519FileSigner.create(home / "mine.pem")


@pytest.mark.parametrize("what", ["store", "folder"])
def test_anothers_store_is_told_in_one_line(home: Path, what: str) -> None:
    """Node and locator alike, whether the file or only its folder is another's."""
    folder = home / "store"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    outbox_of("n1", folder / "o.db").close()
    EventStore(folder / "l.db", {}, signer_of("locator")).close()
    another_s(folder if what == "folder" else folder / "o.db")
    another_s(folder / "l.db")
    with as_nobody(), pytest.raises(StoreError, match=r"^\S+o.db: cannot be opened: ") as told:
        outbox_of("n1", folder / "o.db")
    assert "\n" not in str(told.value)
    with as_nobody(), pytest.raises(StoreError, match=r"^\S+l.db: cannot be opened: "):
        EventStore(folder / "l.db", {}, signer_of("locator"))


def test_a_state_is_for_everyone_though_the_unit_makes_private_files(home: Path) -> None:
    """Under the unit's umask 0077 a technician who logs in still reads it."""
    usual = os.umask(0o077)
    try:
        post(home)
    finally:
        os.umask(usual)
    with as_nobody():
        assert read_state(home, CLOCK.monotonic_ns()).source == "urn:earshot:a:b:c"


def test_a_folder_that_takes_no_state_is_told_once(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The node goes on, and so does the known time, which is only a help."""
    post(home)
    (state,) = home.iterdir()
    written = msgspec.json.decode(state.read_bytes(), type=NodeState)
    file, known = StateFile(home), KnownTime(home / "known-utc")
    home.chmod(0o555)
    with as_nobody():
        for _ in range(3):
            file.post(written)
            known.keep(10**18)
    assert [one.name for one in home.iterdir()] == [state.name]
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{home}: state is not shown: Permission denied"]


def test_anothers_settings_and_pulse_are_one_line(home: Path) -> None:
    """A settings file of mode 0600, and a pulse that no udev rule opened."""
    for name in ("node.toml", "pps0", "assert"):
        (home / name).write_text("1795344670.000320390#2\n")
        another_s(home / name)
    with as_nobody():
        with pytest.raises(SettingsError, match=r"node.toml: .*Permission denied"):
            load(home / "node.toml")
        with pytest.raises(TimeError, match=r"pps0: .*Permission denied: \S+60-earshot.rules"):
            DevicePps(home / "pps0", CLOCK, 1000)
        with pytest.raises(TimeError, match=r"assert: .*Permission denied"):
            SysfsPps(home, CLOCK, 1000)


def test_anothers_line_is_a_refusal() -> None:
    """As an unplugged one: the node runs on without it."""
    ours, theirs = os.openpty()
    os.fchmod(theirs, 0o600 if HAS_POWER else 0)
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse)
    signs: list[TimeSign] = []
    with as_nobody():
        receiver = SerialReceiver(os.ttyname(theirs), 9600, CLOCK, reader)
        until(lambda: bool(signs.extend(receiver.poll()) or signs), "the refusal")
        receiver.close()
    for end in (ours, theirs):
        os.close(end)
    assert [type(sign) for sign in signs] == [Refusal]
    assert signs[0].reason == "serial line cannot be read"
