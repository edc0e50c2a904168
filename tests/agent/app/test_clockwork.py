"""Which adapters tell a node the time, by its settings: witnesses only where they can be some."""

from pathlib import Path

import pytest

from agent.adapters.host import HostWitness, SystemClock, SystemTimeReference
from agent.adapters.ownclock import OwnClock
from agent.adapters.receiver import SerialReceiver
from agent.app import clockwork
from agent.core.clock.time_signs import Kept
from agent.ports import TimeReference
from agent.settings import TimeSection


class Keeper:
    """One that asks nobody."""

    def kept(self) -> Kept:
        return Kept("unknown")

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockwork, "AskedDaemons", Keeper)


def references(time: TimeSection, directory: Path) -> list[TimeReference]:
    own = OwnClock(directory / "clock-of-boot", SystemClock())
    made = list(clockwork.time_references(time, SystemClock(), own))
    for one in made:
        one.close()
    return made


def kinds(made: list[TimeReference]) -> set[type]:
    return {type(one) for one in made} & {
        HostWitness,
        SystemTimeReference,
        OwnClock,
        SerialReceiver,
    }


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (TimeSection(source="system"), {SystemTimeReference}),
        (TimeSection(source="system", require_sync=False), {SystemTimeReference}),
        (TimeSection(source="pps", receiver="/dev/none"), {HostWitness, OwnClock, SerialReceiver}),
        (TimeSection(source="nmea", receiver="/dev/none"), {HostWitness, OwnClock, SerialReceiver}),
        (TimeSection(source="nmea", receiver="/dev/none", chrony_socket="/run/x"),
         {OwnClock, SerialReceiver}),
        (TimeSection(source="pps"), {SystemTimeReference, HostWitness}),
        (TimeSection(source="pps", require_sync=False), {SystemTimeReference}),
    ],
)  # fmt: skip
def test_each_source_has_its_witnesses(
    time: TimeSection, expected: set[type], tmp_path: Path
) -> None:
    """The host's clock beside a receiver, unless this node keeps it; its own beside either."""
    assert kinds(references(time, tmp_path)) == expected


def test_a_receiver_without_sentences_is_asked_in_all_languages() -> None:
    """UBX, CASIC in its frames and in its sentence."""
    words = clockwork._ask_for_sentences(9600)
    assert {word[:2] for word in words} == {b"\xb5b", b"\xba\xce", b"$P"}
