"""The whole of `Hearing` on a piece of sound, fed in blocks."""

import numpy as np
from msgspec.structs import replace

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from agent.core.records.kinds import Features, Impulse
from tests.support.drafts import impulse
from tests.support.noisystreet import RATE_HZ
from tests.support.sound import add_blast, as_int16, noise


def hear(sound: np.ndarray, block: int, *, passes_over: bool = False) -> list[Onset]:
    """All onsets, by the street's sample rate; with `passes_over` those that a node describes."""
    hearing, found = Hearing(AudioFormat(RATE_HZ)), []
    hearing.passes_over = passes_over
    for start in range(0, len(sound), block):
        found += hearing.on_block(AudioBlock(start, sound[start : start + block], 0))
    return found + hearing.finish()


def features_like(peak_dbfs: float, course: tuple[int, ...]) -> Features:
    """Features of a made-up onset; `course` (19 spans) is that of all its bands alike, in dB."""
    return Features(
        peak_dbfs=peak_dbfs,
        peak_db_spl=None,
        snr_db=20.0,
        noise_dbfs=peak_dbfs - 20.0,
        rise_us=100.0,
        duration_ms=20.0,
        crest_db=12.0,
        centroid_hz=1000.0,
        envelope_db=(0.0,) * 10,
        spectrum_db=(0,) * 9,
        course_db=(course,) * 10,
        before_db=(-20,) * 7,
        shape=(10.0,) * 10,
        tonality=0.1,
        clipped=False,
        gap_in_window=False,
    )


def shots(count: int, model: str = "") -> list[Impulse]:
    """What a node tells of blasts in noise; their records name `model` if it is given."""
    sound = noise(2.0 + count)
    for number in range(count):
        add_blast(sound, 48_000.0 * (1.5 + number), 0.1 + 0.02 * number)
    told = [
        replace(impulse(), sample_index=int(one.sample), features=one.features, verdict=one.verdict)
        for one in hear(as_int16(sound), 1_024)
        if one.verdict.accepted
    ]
    if model:
        return [replace(one, verdict=replace(one.verdict, model_sha256=model)) for one in told]
    return told
