"""The record of an onset: where hearing and clock meet."""

import math

from agent.core.clock import Stamp
from agent.core.hearing import Onset
from agent.core.records.fields import TimePair
from agent.core.records.kinds import Impulse
from agent.core.units import NS_PER_S


def impulse_of(
    onset: Onset, stamp: Stamp, rate_hz: int, time_pairs: tuple[TimePair, ...]
) -> Impulse:
    """`onset`, heard at `stamp`; the total sigma is that of sound and clock together."""
    sample_index = int(onset.sample)
    sample_ns = NS_PER_S / rate_hz
    total_ns = math.hypot(onset.sigma_total_samples * sample_ns, stamp.sigma_ns or 0)
    return Impulse(
        toa_utc_ns=None if stamp.utc_ns is None else str(stamp.utc_ns),
        sigma_noise_ns=round(onset.sigma_noise_samples * sample_ns),
        sigma_total_ns=None if stamp.sigma_ns is None else round(total_ns),
        sample_index=sample_index,
        subsample=round(onset.sample - sample_index, 4),
        rate_hz=rate_hz,
        features=onset.features,
        verdict=onset.verdict,
        time_pairs=time_pairs,
    )
