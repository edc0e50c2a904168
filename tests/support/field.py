"""The public live-fire recordings, where they are, and tests of the same shape made by hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.trials.livefire.dataset import Pulse, Recording, Test

_BESIDE = Path(__file__).parents[2].parent / "shared" / "field"
FIELD = Path(os.environ.get("EARSHOT_FIELD", _BESIDE))
PITTSBURGH = FIELD / "pittsburgh-2018"

needs_pittsburgh = pytest.mark.skipif(
    not PITTSBURGH.is_dir(),
    reason=f"live-fire dataset not at {PITTSBURGH}: set EARSHOT_FIELD to the folder that holds it",
)

START_NS = 1_545_180_566 * NS_PER_S
SURVEY_M = np.array([-2157.5, -3695.7, 30.0])
SENSORS_M = {
    "S-1": np.array([-2400.0, -3600.0, 30.0]),
    "S-2": np.array([-2100.0, -3400.0, 35.0]),
    "S-3": np.array([-1900.0, -3800.0, 20.0]),
    "S-4": np.array([-2200.0, -4000.0, 25.0]),
}


def pulses(fired_s: float, name: str, survey_m=SURVEY_M, temperature_c: float = 0.0) -> list[Pulse]:
    """What the recording system said of a round fired so many seconds after START_NS."""
    speed_mps = sound_speed_mps(temperature_c)
    return [
        Pulse(
            uuid=f"{name}-{sensor}",
            sensor=sensor,
            arrival_utc_ns=START_NS
            + round((fired_s + np.linalg.norm(place - survey_m) / speed_mps) * NS_PER_S),
            position_m=place,
        )
        for sensor, place in SENSORS_M.items()
    ]


def recording(sensor: str, raw_fix_m=None, seed: int = 1) -> Recording:
    """A second of noise, zero-padded as the dataset's files are."""
    samples = np.zeros(120_000, np.int16)
    samples[24_000:60_000] = np.random.default_rng(seed).normal(0, 200, 36_000)
    fix_m = SENSORS_M[sensor] + 3.0 if raw_fix_m is None else np.array(raw_fix_m)
    return Recording(sensor, Path(f"{sensor}.wav"), START_NS, samples, fix_m)


def fired_test(name: str = "test_115", position: str = "FP6", **changed) -> Test:
    """A test of three rounds, 0.5 s apart, with every pulse tagged."""
    by_round = [pulses(fired_s, str(fired_s)) for fired_s in (3.0, 3.5, 4.0)]
    fields = {
        "position": position,
        "name": name,
        "rounds": 3,
        "survey_m": SURVEY_M,
        "temperature_c": 0.0,
        "recordings": tuple(recording(sensor) for sensor in SENSORS_M),
        "pulses": tuple(pulse for several in by_round for pulse in several),
        "tuples": tuple(tuple(pulse.uuid for pulse in several) for several in by_round),
    }
    return Test(**{**fields, **changed})
