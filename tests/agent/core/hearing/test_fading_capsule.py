"""A capsule that loses 6 dB, heard through looks at real samples, over virtual days."""

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing.liveness import PERIOD_S, Liveness
from agent.core.units import NS_PER_S
from tests.support import deafness as made

RATE_HZ, EPOCH_NS = 12_000, 1_790_000_000 * NS_PER_S
HOURS_BEFORE, LOST_DB = 6 * 24, 6.0

pytestmark = pytest.mark.system


def hears(live: Liveness, street: np.ndarray, hour: int, gain_db: float) -> None:
    """One hour, of which only what is looked at is made."""
    looks = 3600 // PERIOD_S
    traffic_db = 6.0 * np.sin(2 * np.pi * (hour % 24 - 9) / 24)
    for number in range(looks):
        second = hour * 3600 + number * PERIOD_S
        rng = np.random.default_rng((3, hour, number))
        breath_db = rng.normal(0.0, 2.0)
        start = int(rng.integers(len(street) - 4096))
        gain = 10 ** ((gain_db + traffic_db + breath_db) / 20)
        samples = made.pcm(gain * street[start : start + 4096])
        utc_ns = EPOCH_NS + second * NS_PER_S
        live.on_block(AudioBlock(second * RATE_HZ, samples, second * NS_PER_S), utc_ns)


def test_six_db_less_are_told_within_three_days() -> None:
    """And not before they are lost: six ordinary days are the history."""
    live = Liveness(AudioFormat(RATE_HZ))
    street = made.street(20.0, RATE_HZ, -50.0)
    for hour in range(HOURS_BEFORE):
        hears(live, street, hour, 0.0)
        assert not live.history.has_fallen
    for hour in range(HOURS_BEFORE, HOURS_BEFORE + 72):
        hears(live, street, hour, -LOST_DB)
        if live.history.has_fallen:
            break
    told = live.findings((hour * 3600 + 3599) * NS_PER_S)
    assert [one.fault for one in told if one.fault] == ["level-fell"]
    print(f"told {hour - HOURS_BEFORE} hours after the loss: {told[1].value}")
