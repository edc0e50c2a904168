"""The node's own opinion of an onset: a score, and a typed reason when it is not published.

High recall first: what leaves the node is a candidate, and the score lets the centre decide.
"""

import math

from agent.core.onset import Pick
from agent.core.records import Features, Verdict

IMPULSIVE = "impulsive"
WEAK = "weak"
SLOW = "slow"
STEADY = "steady"

_LEAST_SNR_DB = 7.0
_SLOWEST_RISE_US = 25_000.0
_STEADY_CREST_DB = 4.5
_STEADY_DECAY_DB = 3.0


def judge(pick: Pick, features: Features) -> Verdict:
    """Accept unless it is too weak, too slow or too steady to be an impulse.

    The score in 0..1 grows with how far the onset stands out (rise ratio) and how fast the sound
    decays; it is a rank, not a probability.
    """
    later = features.envelope_db[4:8]
    decay_db = -max(later) if later else 0.0
    is_steady = features.crest_db < _STEADY_CREST_DB and decay_db < _STEADY_DECAY_DB
    evidence = (
        0.9 * (math.log10(max(pick.rise_ratio, 1.0)) - 1.5)
        + 0.06 * (features.snr_db - 20.0)
        + 0.05 * (decay_db - 8.0)
    )
    score = round(1.0 / (1.0 + math.exp(-evidence)), 4)
    for is_so, reason in (
        (features.snr_db < _LEAST_SNR_DB, WEAK),
        (features.rise_us > _SLOWEST_RISE_US, SLOW),
        (is_steady, STEADY),
    ):
        if is_so:
            return Verdict(accepted=False, score=score, reason=reason)
    return Verdict(accepted=True, score=score, reason=IMPULSIVE)
