"""Liveness: each way of going deaf is told within a minute by its name, and health is no fault."""

from collections.abc import Callable

import numpy as np
import pytest

from agent.core.audio import AudioFormat
from agent.core.hearing.liveness import Liveness
from agent.core.records.findings import Finding
from agent.core.units import NS_PER_S
from tests.support import deafness as made

Wave = Callable[[float, int], np.ndarray]

WELL_S, BROKEN_S = 90.0, 60.0
FAULTS: dict[str, tuple[str, Wave]] = {
    "zeros": ("digital-silence", lambda s, r: made.constant(s, r, 0.0)),
    "one value": ("stuck-value", lambda s, r: made.constant(s, r, 0.123)),
    "minus one step": ("stuck-value", lambda s, r: made.constant(s, r, -1 / 32768)),
    "lower rail": ("stuck-at-rail", lambda s, r: made.constant(s, r, -1.0)),
    "upper rail": ("stuck-at-rail", lambda s, r: made.constant(s, r, 1.0)),
    "noisy rail": (
        "stuck-at-rail",
        lambda s, r: 0.98 + made.electronics(s, r, -50.0),
    ),
    "hum of 50 Hz": ("hum-only", made.hum),
    "hum of 60 Hz": ("hum-only", lambda s, r: made.hum(s, r, 60.0)),
    "faint hum": ("hum-only", lambda s, r: made.hum(s, r, 60.0, -62.0)),
    "dead capsule": ("no-noise-floor", lambda s, r: made.electronics(s, r, -86.0)),
    "dead and dull": ("no-noise-floor", lambda s, r: made.electronics(s, r, -97.0)),
    "noise gate": ("no-noise-floor", made.gated),
    "far too loud": ("clipping", lambda s, r: 200 * made.street(s, r)),
    "no windscreen": ("wind", made.storm),
}


def findings_of(live: Liveness, wave: np.ndarray, rate_hz: int, **how) -> list[Finding]:
    """What is told after `wave`, in blocks."""
    bits, size = how.pop("bits", 16), how.pop("size", 1024)
    last_ns = how.get("host_ns", 0)
    for block in made.blocks(made.pcm(wave, bits), size, rate_hz, **how):
        live.on_block(block)
        last_ns = block.host_ns
    return live.findings(last_ns)


def faults(told: list[Finding]) -> set[str]:
    return {one.fault for one in told if one.fault}


CASES = [(name, 12_000, 16) for name in FAULTS]
CASES += [(name, 96_000, 24) for name in ("hum of 60 Hz", "dead capsule")]


@pytest.mark.parametrize(("name", "rate_hz", "bits"), CASES)
def test_each_fault_is_told_within_a_minute_by_its_name(name: str, rate_hz: int, bits: int) -> None:
    """A node that heard well until then; no other name is told than the right one."""
    fault, broken = FAULTS[name]
    live = Liveness(AudioFormat(rate_hz))
    well = made.street(WELL_S, rate_hz)
    assert faults(findings_of(live, well, rate_hz, bits=bits)) == set()
    told = findings_of(
        live,
        broken(BROKEN_S, rate_hz),
        rate_hz,
        bits=bits,
        first=len(well),
        host_ns=round(WELL_S * NS_PER_S),
    )
    assert faults(told) == {fault}
    assert all(one.part and one.remedy for one in told if one.fault)


def test_a_fault_from_the_first_sample_on_is_told() -> None:
    """No memory of better days is needed."""
    rate_hz = 12_000
    for name, (fault, broken) in FAULTS.items():
        told = findings_of(Liveness(AudioFormat(rate_hz)), broken(60.0, rate_hz), rate_hz)
        assert faults(told) == {fault}, name


def test_a_fault_that_is_over_is_told_no_more() -> None:
    """Within a minute of sound that is well again."""
    rate_hz = 12_000
    live = Liveness(AudioFormat(rate_hz))
    broken = made.constant(60.0, rate_hz, 0.0)
    assert faults(findings_of(live, broken, rate_hz)) == {"digital-silence"}
    told = findings_of(
        live, made.street(60.0, rate_hz), rate_hz, first=len(broken), host_ns=60 * NS_PER_S
    )
    assert faults(told) == set()


def test_without_sound_nothing_is_known() -> None:
    """Not before the first minute, and not once sound has stopped; never `healthy`."""
    live = Liveness(AudioFormat(12_000))
    assert {one.status for one in live.findings(0)} == {"unknown"}
    told = findings_of(live, made.street(20.0, 12_000), 12_000)
    assert {one.status for one in told} == {"unknown"}
    told = findings_of(
        live, made.street(60.0, 12_000), 12_000, first=240_000, host_ns=20 * NS_PER_S
    )
    assert [one.status for one in told] == ["healthy", "unknown", "healthy"]
    assert {one.status for one in live.findings(100 * NS_PER_S)} == {"unknown"}


def test_an_uncalibrated_level_is_unknown() -> None:
    """In dB SPL it is told only where full scale is known."""
    for full_scale_db_spl, status in ((None, "unknown"), (120.0, "healthy")):
        live = Liveness(AudioFormat(12_000, full_scale_db_spl))
        told = findings_of(live, made.street(60.0, 12_000), 12_000)
        (level,) = (one for one in told if one.check == "level")
        assert level.status == status
        assert ("dB SPL" in level.value) == (status == "healthy")


def test_blocks_of_any_size_give_the_same_findings_and_percentiles() -> None:
    """What is found does not depend on how the driver cuts."""
    said = []
    for size in (7, 480, 1024, 40_000, 700_000):
        live = Liveness(AudioFormat(12_000))
        findings_of(live, made.street(59.0, 12_000), 12_000, size=size)
        said.append((live.percentiles_dbfs(), faults(live.findings(59 * NS_PER_S))))
    assert len({str(one) for one in said}) == 1
    low, middle, high = said[0][0]
    assert low < middle < high
    assert -50 < middle < -40


def test_sound_that_was_lost_is_no_fault_of_the_microphone() -> None:
    """A second missing in every five: what is there is judged."""
    live = Liveness(AudioFormat(12_000))
    wave = made.pcm(made.street(80.0, 12_000))
    for block in made.blocks(wave, 1024, 12_000):
        if block.first_sample // 12_000 % 5:
            live.on_block(block)
    assert faults(live.findings(80 * NS_PER_S)) == set()
    assert live.percentiles_dbfs() is not None


def test_a_street_is_well_at_any_level_and_a_calibrator_is_no_fault() -> None:
    """Quiet and loud streets, rain on the roof, a siren, a 94 dB calibrator, a shot each second."""
    rate_hz, s = 12_000, 60.0
    at = np.arange(round(s * rate_hz)) / rate_hz
    rain = made.street(s, rate_hz, -60.0) + np.random.default_rng(1).normal(0, 0.004, len(at))
    siren = 0.1 * np.sin(2 * np.pi * (900 * at + 80 * np.sin(at))) + made.street(s, rate_hz)
    tone = 10 ** (-26 / 20) * np.sin(2 * np.pi * 1000 * at) + made.street(s, rate_hz, -70.0)
    shots = made.street(s, rate_hz) + 0.9 * np.exp(-(at % 1.0) / 0.05)
    for wave in (rain, siren, tone, shots, *(made.street(s, rate_hz, db) for db in (-72, -30))):
        assert faults(findings_of(Liveness(AudioFormat(rate_hz)), wave, rate_hz)) == set()
