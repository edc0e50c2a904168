"""The whole of `Hearing` on a piece of sound, fed in blocks."""

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from tests.support.noisystreet import RATE_HZ


def hear(sound: np.ndarray, block: int) -> list[Onset]:
    """All onsets, by the street's sample rate."""
    hearing, found = Hearing(AudioFormat(RATE_HZ)), []
    for start in range(0, len(sound), block):
        found += hearing.on_block(AudioBlock(start, sound[start : start + block], 0))
    return found + hearing.finish()
