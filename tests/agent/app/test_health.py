"""Each fault, whoever notices it, is in the next heartbeat and in the state, with what to touch."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.app.node import Node, NodeSettings, SelfTest, Tick
from agent.core.audio import AudioBlock, AudioFormat, AudioGap, MicrophoneState
from agent.core.clock.time_signs import TimeMark
from agent.core.clock.timebase import ClockSettings
from agent.core.hearing import classification
from agent.core.hearing.classifier import read_model
from agent.core.hearing.level_history import LevelHistory, Levels, Usual
from agent.core.records.findings import found
from agent.core.records.kinds import Data, Heartbeat
from agent.core.units import NS_PER_S
from agent.ports import Vitals
from tests.support import deafness as made

RATE_HZ = 12_000
SETTINGS = NodeSettings("1.2.3", "ab" * 32, "clean", ClockSettings(latency_ns=0))
EPOCH_NS = 1_790_000_000 * NS_PER_S
WELL = Vitals(
    air_temperature_c=4.0,
    soc_temperature_c=50.0,
    throttled=0,
    disk_free_mb=20_000,
    disk_total_mb=30_000,
    disk_is_read_only=False,
    memory_free_mb=500,
    memory_total_mb=900,
    card_used_pct=10,
)


class Box:
    """HostVitals that a test sets."""

    def __init__(self) -> None:
        self.vitals = WELL

    def read(self) -> Vitals:
        return self.vitals


class Kept:
    """A recorder that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[Data] = []

    def append(self, draft) -> None:
        self.said.append(draft.data)


class Post:
    """A node on a pole, in virtual time: a street, a box, marks each second."""

    def __init__(self, **how) -> None:
        self.kept, self.box = Kept(), Box()
        fmt = AudioFormat(RATE_HZ, how.pop("full_scale_db_spl", 120.0))
        settings = how.pop("settings", SETTINGS)
        self.node = Node(settings, fmt, self.kept, self.box, **how)
        self.sample, self.host_ns, self.has_time = 0, 5 * NS_PER_S, True

    def hear(self, wave: np.ndarray, true_rate_hz: float = RATE_HZ) -> "Post":
        samples = made.pcm(wave)
        for at in range(0, len(samples), 1200):
            part = samples[at : at + 1200]
            self.host_ns += round(len(part) * NS_PER_S / true_rate_hz)
            self.node.step(AudioBlock(self.sample, part, self.host_ns))
            self.sample += len(part)
            if self.has_time and not at % RATE_HZ:
                utc_ns = EPOCH_NS + self.host_ns
                self.node.step(TimeMark(self.host_ns, utc_ns, 1_000, "sim"))
        return self

    def wait(self, seconds: int) -> "Post":
        for _ in range(seconds):
            self.host_ns += NS_PER_S
            self.node.step(Tick(self.host_ns))
        return self

    @property
    def heartbeat(self) -> Heartbeat:
        return [one for one in self.kept.said if isinstance(one, Heartbeat)][-1]

    def told(self) -> dict[str, tuple[str, str]]:
        """Fault: (status, part) of the last heartbeat; the state must say the same faults."""
        beat = self.heartbeat
        faults = () if beat.findings is msgspec.UNSET else beat.findings
        return {one.fault: (one.status, one.part) for one in faults}

    def state_faults(self) -> set[str]:
        state = self.node.state(self.host_ns, "urn:x", "", 1)
        return {one.fault for one in state.findings if one.fault}


def street(seconds: float = 66.0) -> np.ndarray:
    return made.street(seconds, RATE_HZ)


@pytest.fixture(scope="module")
def well() -> Post:
    return Post().hear(street(130.0))


def test_a_healthy_node_says_so_and_names_what_it_cannot_know(well: Post) -> None:
    """Health, percentiles, range, versions; of a contact that is not there nothing is assumed."""
    beat = well.heartbeat
    assert beat.health == "healthy"
    assert beat.findings is msgspec.UNSET
    assert beat.unknown == ("position", "tamper")
    low, middle, high = beat.noise_percentiles_dbfs
    assert low < middle < high
    assert 100 < beat.hearing_range_m < 5000
    assert (beat.software, beat.settings, len(beat.model)) == ("1.2.3", "ab" * 8, 16)
    assert (beat.host.soc_c, beat.host.disk_free_mb, beat.air_temperature_c) == (50.0, 20_000, 4.0)
    state = well.node.state(well.host_ns, "urn:x", "", 1)
    assert state.health == "healthy"
    assert {one.check for one in state.findings} >= {"microphone", "hearing", "clock", "rate"}
    assert all(one.value for one in state.findings if one.status == "unknown")


def test_the_first_minute_is_unknown_not_healthy() -> None:
    """Before there was sound or time nobody can say that all is well."""
    post = Post()
    post.has_time = False
    state = post.wait(3).node.state(post.host_ns, "urn:x", "", 1)
    assert state.health == "unknown"
    assert not post.state_faults()


def test_a_heartbeat_is_small(well: Post) -> None:
    """What was added to 0.1.0's: under 400 bytes where all is well, 800 with five faults."""
    beat = well.heartbeat
    before = Heartbeat(**{name: getattr(beat, name) for name in Heartbeat.__struct_fields__[:8]})
    plain = len(msgspec.json.encode(before))
    assert len(msgspec.json.encode(beat)) - plain < 400
    broken = Post().hear(made.constant(66.0, RATE_HZ, 0.0))
    broken.box.vitals = Vitals(soc_temperature_c=90.0, throttled=1, disk_free_mb=1, disk_total_mb=9)
    beat = broken.hear(made.constant(60.0, RATE_HZ, 0.0)).heartbeat
    assert len(beat.findings) >= 4
    assert len(msgspec.json.encode(beat)) - plain < 800


def test_an_uncalibrated_node_knows_neither_level_nor_range() -> None:
    """Neither is assumed."""
    beat = Post(full_scale_db_spl=None).hear(street()).heartbeat
    assert beat.hearing_range_m is msgspec.UNSET
    assert "level" in beat.unknown
    assert beat.noise_db_spl is None


def test_a_deaf_node_does_not_claim_to_hear_far() -> None:
    """Silence looks like the quietest of streets: the range is 0 m, and unknown before a minute."""
    beat = Post().hear(made.constant(66.0, RATE_HZ, 0.0)).heartbeat
    assert (beat.hearing_range_m, beat.noise_db_spl) == (0, None)
    post = Post().hear(street(20.0))
    assert post.node.state(post.host_ns, "urn:x", "", 1).hearing_range_m is None


def box(**changed) -> Callable[[Post], object]:
    def act(post: Post) -> None:
        post.box.vitals = Vitals(
            **{name: getattr(WELL, name) for name in Vitals.__slots__} | changed
        )

    return act


def microphone(condition: str) -> Callable[[Post], object]:
    return lambda post: post.node.step(MicrophoneState(post.host_ns, condition, "usb: a reason"))


def lost(post: Post) -> None:
    post.node.step(AudioGap(post.sample, 1200, post.host_ns, "overflow"))
    post.sample += 1200


HOST_FAULTS = {
    "hot": (box(soc_temperature_c=78.0), "warning"),
    "too-hot": (box(soc_temperature_c=85.0), "critical"),
    "under-voltage": (box(throttled=0x50005), "critical"),
    "was-under-voltage": (box(throttled=0x10000), "warning"),
    "throttled": (box(throttled=0x4), "warning"),
    "disk-low": (box(disk_free_mb=900), "warning"),
    "disk-full": (box(disk_free_mb=3), "critical"),
    "disk-read-only": (box(disk_is_read_only=True), "critical"),
    "memory-low": (box(memory_free_mb=20), "warning"),
    "card-worn": (box(card_used_pct=90), "warning"),
    "lost-sound": (lost, "warning"),
    "microphone-absent": (microphone("absent"), "critical"),
    "microphone-busy": (microphone("busy"), "critical"),
    "microphone-ambiguous": (microphone("ambiguous"), "critical"),
    "microphone-refused": (microphone("refused"), "critical"),
    "microphone-unplugged": (microphone("unplugged"), "critical"),
    "microphone-hung": (microphone("stuck"), "critical"),
    "sound-system-broken": (microphone("broken"), "critical"),
}


def test_a_microphone_that_hangs_is_told_at_once_and_once() -> None:
    """The process may not last the minute; and a state each second is no heartbeat each second."""
    post = Post().hear(street(10.0))
    for _ in range(30):
        microphone("stuck")(post.wait(1))
    assert sum(isinstance(one, Heartbeat) for one in post.kept.said) == 1
    assert "microphone-hung" in post.told()


@pytest.mark.parametrize("fault", HOST_FAULTS)
def test_what_host_and_device_tell_is_in_the_next_heartbeat(fault: str) -> None:
    """By its name, as bad as it is, with the part to touch; and nothing else is."""
    act, status = HOST_FAULTS[fault]
    post = Post().hear(street(50.0))
    act(post)
    post.hear(street(60.0))
    assert {name: bad for name, (bad, part) in post.told().items() if part} == {fault: status}
    assert post.state_faults() == {fault}
    assert post.heartbeat.health == status


@pytest.mark.parametrize("true_rate_hz", [11_025.0, 11_940.0, 12_060.0, 16_000.0])
def test_a_wrong_true_rate_is_told_within_a_minute(true_rate_hz: float) -> None:
    """A device that does not convert at the rate it claims makes every time wrong."""
    post = Post().hear(made.street(62.0 * true_rate_hz / RATE_HZ, RATE_HZ), true_rate_hz)
    assert post.host_ns < 68 * NS_PER_S
    assert post.told().get("wrong-rate") == ("critical", "sound device")
    assert "wrong-rate" in post.state_faults()


def test_no_sound_at_all_is_told_whatever_the_microphone_says() -> None:
    """Half a minute of ticks without a block: critical, though the adapter told of no fault."""
    post = Post().hear(street()).wait(60)
    assert post.told()["microphone-hung"] == ("critical", "microphone plug")
    assert post.heartbeat.heard_samples < 60 * RATE_HZ
    post.hear(street(130.0))
    assert post.told() == {}


def test_a_node_without_time_is_critical_after_two_minutes() -> None:
    """Not before: every node begins without."""
    post = Post()
    post.has_time = False
    post.hear(street())
    assert "no-time" not in post.told()
    assert post.heartbeat.health == "unknown"
    post.hear(street(130.0))
    assert post.told()["no-time"][0] == "critical"


def test_a_dead_capsule_is_in_the_heartbeat_within_a_minute() -> None:
    """And so is the moment it is well again."""
    post = Post().hear(street()).hear(made.electronics(62.0, RATE_HZ, -86.0))
    assert post.told() == {"no-noise-floor": ("critical", "microphone capsule")}
    assert post.hear(street(125.0)).told() == {}


def test_a_capsule_that_fades_is_told_from_the_history() -> None:
    """Levels of earlier days come from the file; the hours of this run are added to them."""
    hour = (EPOCH_NS + 65 * NS_PER_S) // (3600 * NS_PER_S)
    usual = [Usual(-47.0, 9) for _ in range(24)]
    history = LevelHistory(Levels(usual=usual))
    for number in range(40):
        history.on_hour(hour - 48 + number, -53.5)
    post = Post(history=history).hear(street())
    assert post.told() == {"level-fell": ("warning", "windscreen and capsule")}
    dead = Post(history=LevelHistory(Levels(usual=usual)))
    dead.hear(made.street(66.0, RATE_HZ, -69.0))
    assert dead.told() == {"level-fell": ("critical", "windscreen and capsule")}


def test_a_model_that_scores_nothing_is_critical(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told after the self-test at the start, and the button tests again."""
    with monkeypatch.context() as broken:
        broken.setattr(classification, "shipped_model", lambda: read_model(b"\0" * 900))
        post = Post().hear(street())
        assert post.told() == {"model-scores-nothing": ("critical", "software")}
    assert post.hear(street()).told()
    post.node.step(SelfTest(post.host_ns))
    assert post.hear(street()).told() == {}


def test_what_other_parts_report_is_told() -> None:
    """A store, a link, a contact: their findings stand beside the node's own."""
    reports = [found("opened", "since 12:00")]
    post = Post(reporters=[lambda host_ns: reports]).hear(street())
    assert post.told() == {"opened": ("critical", "enclosure")}
    assert "tamper" not in post.heartbeat.unknown


def test_the_backlog_is_told_where_it_is_known(tmp_path: Path) -> None:
    """A simulated node has none in its records: they depend on sound, time and seed alone."""
    assert Post(backlog=lambda: 17).hear(street()).heartbeat.backlog == 17
    assert Post().hear(street()).heartbeat.backlog is msgspec.UNSET
