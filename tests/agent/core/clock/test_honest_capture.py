"""Sound that is lost, late or mislabelled: no sure and wrong stamp, whatever the driver says."""

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock import Stamp, Timebase
from agent.core.clock.time_signs import Discontinuity, Edge, Fix, Pulse, RealtimeStep
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S

BLOCK = np.zeros(1_024, np.int16)
HOST_0_NS, UTC_0_NS = 5_000 * NS_PER_S, 1_830_000_000 * NS_PER_S
UNCOUNTED_SAMPLES = 96_657


class Pole:
    """A device that claims `claimed_hz` and converts `true_hz`; host and UTC run alike."""

    def __init__(self, claimed_hz: int = 48_000, true_hz: float = 48_000.0, **told: object) -> None:
        self.claimed_hz, self.true_hz = claimed_hz, true_hz
        settings = {"source": "pps", "latency_ns": 0, "is_pulse_known": True, **told}
        self.timebase = Timebase(claimed_hz, ClockSettings(**settings))  # type: ignore[arg-type]
        self.rng = np.random.default_rng(7)
        self.converted = self.uncounted = 0
        self.second = 1
        self.slept_s = 0.0

    def now_s(self) -> float:
        return self.converted / self.true_hz

    def host_ns(self, at_s: float) -> int:
        return HOST_0_NS + round(at_s * NS_PER_S)

    def run(self, seconds: float, *, pulses: bool = True) -> None:
        """Sound, a pulse a second and a sentence after it."""
        until_s = self.now_s() + seconds
        while self.now_s() < until_s:
            self.converted += len(BLOCK)
            host_ns = self.host_ns(self.now_s()) + round(self.rng.exponential(300_000))
            while pulses and self.host_ns(self.second + 0.5) < host_ns:
                self._tell_second()
            self.timebase.on_time(host_ns)
            first = self.converted - len(BLOCK) - self.uncounted
            self.timebase.on_block(AudioBlock(first, BLOCK, host_ns))

    def _tell_second(self) -> None:
        at_ns, utc_ns = self.host_ns(self.second), UTC_0_NS + self.second * NS_PER_S
        utc_ns += round(self.slept_s * NS_PER_S)
        if self.timebase.lock.source == "pps-adc" or self._is_adc():
            edge = self.second * self.true_hz - self.uncounted
            self.timebase.on_edge(Edge(edge, 0.004, at_ns + 50 * NS_PER_MS))
        else:
            jitter_ns = round(self.rng.normal(0, 500))
            self.timebase.on_sign(Pulse(at_ns + jitter_ns, 1_000))
        self.timebase.on_sign(Fix(at_ns + 400 * NS_PER_MS, utc_ns, is_valid=True, satellites=9))
        self.second += 1

    def _is_adc(self) -> bool:
        return self.timebase._by_samples

    def lose(self, samples: int) -> None:
        """Sound goes, and nobody counts it."""
        self.converted += samples
        self.uncounted += samples
        self.second = int(self.now_s()) + 1

    def stamp(self, ago_s: float = 0.3) -> tuple[float, Stamp]:
        """Error (ns) of the stamp of a moment ago, NaN where none is given; and the stamp."""
        sample = self.converted - round(ago_s * self.true_hz)
        stamp = self.timebase.stamp_sample(float(sample - self.uncounted))
        if stamp.utc_ns is None:
            return float("nan"), stamp
        true_ns = UTC_0_NS + round((sample / self.true_hz + self.slept_s) * NS_PER_S)
        return stamp.utc_ns - true_ns, stamp


def test_sound_that_nobody_counted_is_covered_at_once_and_then_found() -> None:
    """Seen: 96 657 samples lost and 1 declared, stamps 2 s early at sigma 3 ms, locked."""
    pole = Pole()
    pole.run(60)
    pole.lose(UNCOUNTED_SAMPLES)
    pole.run(0.4)
    error_ns, stamp = pole.stamp(0.2)
    assert abs(error_ns) <= 3 * (stamp.sigma_ns or 0)
    pole.run(20)
    error_ns, stamp = pole.stamp()
    assert abs(error_ns) <= 3 * (stamp.sigma_ns or 0)
    assert (stamp.sigma_ns or 0) < NS_PER_MS


@pytest.mark.parametrize("is_gap_told", [False, True])
@pytest.mark.parametrize("after_s", [0.03, 0.1, 0.3, 1.0])
def test_right_after_an_uncounted_loss_no_second_is_sure(is_gap_told: bool, after_s: float) -> None:
    """Seen: 2.5 s lost, a gap of one sample told, then one stamp confirmed, 3 s early, at 4 ms."""
    pole = Pole()
    pole.run(60)
    pole.lose(UNCOUNTED_SAMPLES)
    if is_gap_told:
        gap_at = pole.converted - pole.uncounted
        pole.timebase.on_gap(AudioGap(gap_at, 1, pole.host_ns(pole.now_s()), "input overflow"))
        pole.uncounted -= 1
    pole.run(after_s)
    for ago_s in (0.0, 0.01, after_s / 2):
        error_ns, stamp = pole.stamp(ago_s)
        assert abs(error_ns) <= 3 * (stamp.sigma_ns or 0)
        assert not pole.timebase.confirms(stamp.sigma_ns) or abs(error_ns) < NS_PER_S / 2


@pytest.mark.parametrize(
    ("claimed_hz", "true_hz"),
    [(44_100, 32_000.0), (44_100, 48_000.0), (48_000, 44_100.0), (48_000, 48_000 * (1 + 350e-6))],
)
def test_a_rate_that_is_not_what_it_claims_is_named_and_never_locked(
    claimed_hz: int, true_hz: float
) -> None:
    """Within 30 s; and no time is given that would have to be guessed."""
    pole = Pole(claimed_hz, true_hz)
    pole.run(30)
    assert "sample rate is not what the device claims" in pole.timebase.doubts.phrases
    assert pole.timebase.state != "locked"
    assert pole.stamp()[1] == Stamp(None, None)
    pole.run(30)
    assert pole.timebase.state != "locked"


@pytest.mark.parametrize("ppm", [-100.0, 40.0, 100.0])
def test_what_a_crystal_can_be_is_followed(ppm: float) -> None:
    """To 1 ppm, without a doubt."""
    pole = Pole(48_000, 48_000 * (1 + ppm * 1e-6))
    pole.run(120)
    told = pole.timebase.quality(pole.host_ns(pole.now_s())).oscillator_ppm
    assert told == pytest.approx(ppm, abs=1.0)
    assert pole.timebase.doubts.phrases == ()
    assert pole.timebase.state == "locked"


def test_a_stepped_clock_is_no_sleep() -> None:
    """CLOCK_REALTIME is set by an hour: nothing that counts CLOCK_MONOTONIC is void."""
    for source in ("pps", "pps-adc"):
        pole = Pole(source=source)
        pole.run(40)
        assert pole.timebase.state == "locked"
        host_ns = pole.host_ns(pole.now_s())
        assert pole.timebase.on_sign(RealtimeStep(host_ns, "system clock was stepped")) is None
        pole.run(2)
        error_ns, stamp = pole.stamp()
        assert pole.timebase.state == "locked"
        assert abs(error_ns) <= 3 * (stamp.sigma_ns or 0)


@pytest.mark.parametrize("source", ["pps", "pps-adc"])
def test_after_a_sleep_nothing_is_said_until_it_is_known_again(source: str) -> None:
    """Seen on pps-adc: the opening time of the stream, -3 600 s at sigma 125 us, locked."""
    pole = Pole(source=source)
    pole.run(40)
    pole.slept_s = 3_600.0
    host_ns = pole.host_ns(pole.now_s())
    pole.timebase.on_sign(Discontinuity(host_ns, "host slept for 3600.0 s"))
    pole.timebase.on_gap(AudioGap(pole.converted - pole.uncounted, 1, host_ns, "host slept"))
    assert pole.timebase.state == "unsynchronised"
    assert pole.timebase.utc_at_host(host_ns) == Stamp(None, None)
    pole.uncounted -= 1
    pole.run(40)
    error_ns, stamp = pole.stamp()
    assert pole.timebase.state == "locked"
    assert abs(error_ns) <= 3 * (stamp.sigma_ns or 0)


def test_an_axis_that_is_not_there_is_not_zero() -> None:
    """Before the first block, records made on the pulse's own axis claim no age and no time."""
    timebase = Timebase(48_000, ClockSettings(source="pps-adc"))
    quality = timebase.quality(HOST_0_NS)
    assert (quality.sigma_ns, quality.mark_age_ms, quality.spoof) == (None, None, "unknown")
    assert timebase.utc_at_host(HOST_0_NS) == Stamp(None, None)
    assert timebase.report(HOST_0_NS).refused == {}
