"""A node in ordinary streets raises no alarm: hours of recorded sound through the very node."""

from collections import Counter

import numpy as np
import pytest

from agent.app.node import Node, NodeSettings
from agent.core.audio import AudioBlock, AudioFormat
from agent.core.clock.time_signs import TimeMark
from agent.core.clock.timebase import ClockSettings
from agent.core.records.kinds import Heartbeat
from agent.core.units import NS_PER_S
from agent.ports import Vitals
from tests.support import recordedstreets
from tests.support.recordedstreets import CLIPS, FULL_SCALE_DB_SPL, RATE_HZ, STREETS

pytestmark = pytest.mark.torture

EPOCH_NS = 1_790_000_000 * NS_PER_S
BLOCK = 4096
NAMES = (
    *(
        pytest.param(
            name, marks=pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no clips at {CLIPS}")
        )
        for name in STREETS
    ),
    "noise",
)


class Box:
    def read(self) -> Vitals:
        return Vitals(
            air_temperature_c=8.0, soc_temperature_c=55.0, throttled=0,
            disk_free_mb=9_000, disk_total_mb=16_000, disk_is_read_only=False,
            memory_free_mb=500, memory_total_mb=900, card_used_pct=1,
        )  # fmt: skip


class Listened:
    """What a node said of itself; its impulses are counted, not kept."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.kinds: Counter[str] = Counter()

    def append(self, draft) -> None:
        self.kinds[type(draft.data).__name__] += 1
        if isinstance(draft.data, Heartbeat):
            self.beats.append(draft.data)


def listen(name: str, hours: float, seed: int = 1) -> Listened:
    """`hours` of virtual time in one street, marks of a receiver included."""
    told, rng = Listened(), np.random.default_rng(seed)
    settings = NodeSettings("test", "0" * 64, "new-store", ClockSettings(latency_ns=0))
    node = Node(settings, AudioFormat(RATE_HZ, FULL_SCALE_DB_SPL), told, Box())
    at, mark_s, host_ns = 0, 0, 0
    for number, minute in enumerate(recordedstreets.minutes(name, seed)):
        if number >= 60 * hours:
            return told
        for start in range(0, len(minute), BLOCK):
            part = minute[start : start + BLOCK]
            at += len(part)
            late_ns = int(rng.exponential(500_000))
            host_ns = max(host_ns, at * NS_PER_S // RATE_HZ + late_ns)
            while mark_s * NS_PER_S <= host_ns:
                jitter_ns = int(rng.normal(0.0, 1_000))
                mark_ns = mark_s * NS_PER_S
                node.step(TimeMark(mark_ns, EPOCH_NS + mark_ns + jitter_ns, 1_000, "pps"))
                mark_s += 1
            node.step(AudioBlock(at - len(part), part, host_ns))
    return told


@pytest.mark.parametrize("hours", [6, 24])
@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_street_raises_no_alarm(name: str, hours: int) -> None:
    """Not one fault in any heartbeat; from the third minute on each says that all is well."""
    told = listen(name, hours)
    faults = Counter(
        (one.fault, number) for number, beat in enumerate(told.beats) for one in beat.findings or ()
    )
    assert faults == Counter()
    assert len(told.beats) >= 60 * hours - 1
    assert {beat.health for beat in told.beats[2:]} == {"healthy"}


@pytest.mark.parametrize("name", NAMES)
def test_a_capsule_that_dies_in_such_a_street_is_told_all_the_same(name: str) -> None:
    """The control: the node that said nothing in these streets is not deaf to deafness."""
    told, rng = Listened(), np.random.default_rng(3)
    settings = NodeSettings("test", "0" * 64, "new-store", ClockSettings(latency_ns=0))
    node = Node(settings, AudioFormat(RATE_HZ), told, Box())
    street = recordedstreets.minutes(name, 2)
    at = 0
    for number in range(8):
        minute = next(street)
        if number >= 6:
            minute = np.rint(rng.normal(0.0, 1.2, len(minute))).astype(np.int16)
        for start in range(0, len(minute), BLOCK):
            part = minute[start : start + BLOCK]
            at += len(part)
            node.step(AudioBlock(at - len(part), part, at * NS_PER_S // RATE_HZ))
    assert "no-noise-floor" in {one.fault for one in told.beats[-1].findings or ()}
