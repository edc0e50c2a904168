"""What a node says: everything it heard, how well it knew the time, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.adapters.vitals import SystemVitals
from agent.app.node import Node, NodeSettings, Tick
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.clock.time_signs import Fix, Place
from agent.core.clock.timebase import ClockSettings
from agent.core.records import Body, Draft
from agent.core.records.envelope import key_id, load_public_key, open_envelope
from agent.core.records.kinds import Gap, Heartbeat, Impulse, Start, Stop, TimebaseChange, parse
from agent.core.records.position import Position
from agent.core.units import NS_PER_S
from simulator.grid.hardware import Board, RecordedAudio, assemble, items
from tests.support.drafts import outbox_of, signer_of
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

START_UTC_NS = 1_773_522_000 * NS_PER_S
SETTINGS = NodeSettings("test", "0" * 64, "new-store", ClockSettings(latency_ns=0))
ONSETS = (1_200_000.25, 3_000_000.5)


def bodies(path: Path, losses: tuple[tuple[int, int], ...] = (), pps: bool = True) -> list[Body]:
    """All that a node says about 65 s of street with two shots, verified and parsed."""
    sound = noise(65.0)
    for onset in ONSETS:
        add_blast(sound, onset, 0.3)
    outages = () if pps else ((START_UTC_NS, START_UTC_NS + 100 * NS_PER_S),)
    board = Board(host_ppm=7.0, losses=losses, pps_outages=outages)
    audio = RecordedAudio(as_int16(sound), RATE_HZ, START_UTC_NS, full_scale_db_spl=120.0)
    hardware = assemble(audio, board, "n1", 1, 8.5)
    outbox = outbox_of("n1", path)
    node = Node(SETTINGS, hardware.microphone.format, outbox, hardware.vitals)
    for item in items(hardware.microphone, hardware.reference):
        node.step(item)
    node.stop(hardware.clock.monotonic_ns(), "end of sound")
    key = load_public_key(signer_of("n1").public_key())
    stored = outbox.pending(1_000, frozenset())
    outbox.close()
    opened = [open_envelope(one.envelope, {key_id(key): key}) for one in stored]
    return sorted((parse(one.payload, Body) for one in opened), key=lambda body: body.seq)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[Body]:
    return bodies(tmp_path_factory.mktemp("node") / "o.db")


def of(kind: type, said: list[Body]) -> Iterator:
    return (body.data for body in said if isinstance(body.data, kind))


def test_a_run_has_a_beginning_a_pulse_and_an_end(said: list[Body]) -> None:
    """`start` first, `stop` last, a heartbeat after a minute, no number missing."""
    assert isinstance(said[0].data, Start)
    assert isinstance(said[-1].data, Stop)
    assert [body.seq for body in said] == list(range(1, len(said) + 1))
    (heartbeat,) = of(Heartbeat, said)
    assert heartbeat.uptime_s == 60
    assert heartbeat.air_temperature_c == 8.5
    assert heartbeat.noise_db_spl == pytest.approx(120 + heartbeat.noise_dbfs)
    assert heartbeat.published == 1


def test_the_time_of_arrival_is_within_its_sigma(said: list[Body]) -> None:
    """Each shot is one record; its stated time misses the truth by less than two sigma."""
    impulses = list(of(Impulse, said))
    assert len(impulses) == len(ONSETS)
    for impulse, onset in zip(impulses, ONSETS, strict=True):
        error_ns = int(impulse.toa_utc_ns) - START_UTC_NS - round(onset * NS_PER_S / RATE_HZ)
        assert abs(error_ns) <= 2 * impulse.sigma_total_ns
        assert abs(error_ns) < 60_000
        assert impulse.sigma_total_ns >= impulse.sigma_noise_ns
        assert abs(impulse.sample_index + impulse.subsample - onset) < 3
    assert [(one.before, one.after) for one in of(TimebaseChange, said)] == [
        ("unsynchronised", "acquiring"),
        ("acquiring", "locked"),
    ]


def test_the_same_sound_time_and_key_give_the_same_bytes(said: list[Body], tmp_path: Path) -> None:
    """Nothing but the chain's random name differs between two runs."""
    again = bodies(tmp_path / "o.db")
    assert [(b.data, b.host_ns, b.clock) for b in again] == [
        (b.data, b.host_ns, b.clock) for b in said
    ]


def test_lost_sound_is_said(tmp_path: Path) -> None:
    """A gap becomes a record and is counted in the heartbeat."""
    said = bodies(tmp_path / "o.db", losses=((1_000_000, 4_800),))
    (gap,) = of(Gap, said)
    assert (gap.first_sample, gap.lost_samples) == (1_000_000, 4_800)
    (heartbeat,) = of(Heartbeat, said)
    assert heartbeat.lost_samples == 4_800


def test_without_a_clock_the_shot_is_still_told(tmp_path: Path) -> None:
    """No UTC is invented; the record says `unsynchronised` and holds the sample index."""
    said = bodies(tmp_path / "o.db", pps=False)
    impulses = [body for body in said if isinstance(body.data, Impulse)]
    assert len(impulses) == 2
    for body in impulses:
        assert body.data.toa_utc_ns is None
        assert body.data.sigma_total_ns is None
        assert body.clock.state == "unsynchronised"


def test_a_silent_driver_does_not_stop_the_pulse(tmp_path: Path) -> None:
    """Ticks alone bring heartbeats; a host that slept owes one, not one a minute."""
    outbox = outbox_of("n1", tmp_path / "o.db")
    hardware = assemble(
        RecordedAudio(as_int16(np.zeros(10)), RATE_HZ, START_UTC_NS), Board(), "n1", 1, 8.5
    )
    node = Node(SETTINGS, hardware.microphone.format, outbox, hardware.vitals)
    for host_s in (0, 30, 61, 900, 901):
        node.step(Tick(host_s * NS_PER_S))
    node.step(AudioBlock(0, np.zeros(1_024, np.int16), 902 * NS_PER_S))
    node.step(AudioGap(1_024, 5, 903 * NS_PER_S, "overflow"))
    kinds = [
        sealed.kind for sealed in sorted(outbox.pending(99, frozenset()), key=lambda s: s.head.seq)
    ]
    outbox.close()
    assert kinds == ["start", "heartbeat", "heartbeat", "gap"]


class Kept:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []

    def append(self, draft: Draft) -> None:
        self.drafts.append(draft)


def test_a_place_is_surveyed_recorded_and_held_against() -> None:
    """Good fixes become hourly means and a surveyed place; a jump is recorded and doubted."""
    kept = Kept()
    node = Node(SETTINGS, AudioFormat(RATE_HZ), kept, SystemVitals())
    here, there = (Place(48.1, 11.5 + off, 520.0, 0.9) for off in (0.0, 0.003))
    for second in range(0, 2 * 3600 + 20, 10):
        node.step(Fix(second * NS_PER_S, None, is_valid=True, satellites=9, place=here))
    for second in range(7300, 7312):
        node.step(Fix(second * NS_PER_S, None, is_valid=True, satellites=9, place=there))
    events = [draft.data.event for draft in kept.drafts if isinstance(draft.data, Position)]
    assert sorted(events[:-1]) == ["hourly", "hourly", "surveyed"]
    assert events[-1] == "moved"
    state = node.state(7312 * NS_PER_S, "urn:x", "boot", 1)
    assert state.has_moved
    assert state.clock.doubts == ("position jumped",)
