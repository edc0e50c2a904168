"""Does the hearing path hear? A synthetic blast beside the microphone's own sound.

The very `Hearing` that listens to the street gets a copy of two seconds of that street with a
blast in it whose place is known. It must find it where it is, and score it as a shot. So a model
that scores nothing, a file that an update broke, and a gate that stays shut are told before a
night of silence tells them. What it should not take for shots is the corpus' matter, not this.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat, Floats
from agent.core.hearing.picker import Wave
from agent.core.hearing.pipeline import Hearing, Onset
from agent.core.records.findings import Finding, found, healthy

BED_S = 2.2
_BLAST_S = 1.4
_PEAK = 0.5
_OVER_BED_DB = 46.0
_QUIET_RMS = 2e-3
_POSITIVE_S = 1e-3
_RISE_S = 60e-6
_TAIL_S, _TAIL_HZ, _TAIL_SHARE = 0.08, 1200.0, 0.12
_NEAR_S = 3e-3
_BLOCK = 4096

Ears = Callable[[AudioFormat], Hearing]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: was the blast found where it is, scored as a shot, and how high.

    `failure` is an error of the path itself.
    """

    is_heard: bool = False
    is_scored: bool = False
    score: float = 0.0
    failure: str = ""


def self_test(fmt: AudioFormat, bed: Floats, ears: Ears = Hearing) -> Outcome:
    """Try the path on a copy of `bed`, BED_S of sound, full scale 1.0, shape (n,). Never raises."""
    wave = _mixed(fmt.rate_hz, bed)
    samples = np.clip(np.rint(wave * 32_768.0), -32_768, 32_767).astype(np.int16)
    try:
        hearing = ears(AudioFormat(fmt.rate_hz))
        onsets = [
            one
            for at in range(0, len(samples), _BLOCK)
            for one in hearing.on_block(AudioBlock(at, samples[at : at + _BLOCK], 0))
        ]
        onsets += hearing.finish()
    except Exception as error:  # a damaged model or code may fail in any way
        return Outcome(failure=f"{type(error).__name__}: {error}")
    return _outcome(fmt.rate_hz, onsets)


def about_hearing(outcome: Outcome) -> Finding:
    """The finding that follows from it."""
    if outcome.failure:
        return found("deaf", outcome.failure)
    if not outcome.is_heard:
        return found("deaf", "the blast was not heard")
    if not outcome.is_scored:
        return found("model-scores-nothing", f"heard, but scored {outcome.score:.2f}")
    return healthy("hearing", f"a blast was heard and scored {outcome.score:.2f}")


def _outcome(rate_hz: int, onsets: list[Onset]) -> Outcome:
    near = [one.verdict for one in onsets if abs(one.sample / rate_hz - _BLAST_S) < _NEAR_S]
    return Outcome(
        is_heard=bool(near),
        is_scored=any(one.accepted and one.model_sha256 for one in near),
        score=max((one.score for one in near), default=0.0),
    )


def quiet_bed(rate_hz: int) -> Floats:
    """BED_S of a street at night for where there is no microphone to ask: falls 3 dB an octave."""
    count = round(BED_S * rate_hz)
    white = np.fft.rfft(_white(count, seed=1))
    hz = np.maximum(np.fft.rfftfreq(count, 1.0 / rate_hz), 20.0)
    pink = np.fft.irfft(white / np.sqrt(hz), count)
    return np.asarray(pink * (_QUIET_RMS / pink.std()), np.float32)


def _mixed(rate_hz: int, bed: Floats) -> Wave:
    """The bed, turned down where it is loud, with a blast. Full scale 1.0."""
    wave = np.resize(bed - bed.mean(), round(BED_S * rate_hz)).astype(np.float64)
    rms = math.sqrt(float(wave.dot(wave)) / len(wave))
    if rms < _QUIET_RMS:
        wave += quiet_bed(rate_hz)
    else:
        wave *= min(1.0, _PEAK * 10.0 ** (-_OVER_BED_DB / 20.0) / rms)
    blast, start = _blast(rate_hz), round(_BLAST_S * rate_hz)
    wave[start : start + len(blast)] += _PEAK * blast
    return wave


def _blast(rate_hz: int) -> Wave:
    """A Friedlander wave of 1 ms with a soft front and the tail that a street gives it; peak 1."""
    at_s = np.arange(round(6 * _TAIL_S * rate_hz)) / rate_hz
    front = (1.0 - at_s / _POSITIVE_S) * np.exp(-at_s / _POSITIVE_S)
    wave = front * (1.0 - np.exp(-at_s / _RISE_S))
    reach = max(1, round(rate_hz / (2 * _TAIL_HZ)))
    tail = np.convolve(_white(len(at_s), seed=2), np.ones(reach) / reach**0.5, "same")
    wave += _TAIL_SHARE * tail * np.exp(-at_s / _TAIL_S) * (1.0 - np.exp(-at_s / 8e-3))
    return np.asarray(wave / np.abs(wave).max())


def _white(count: int, seed: int) -> Wave:
    """Noise of mean 0 and deviation 1, near enough to Gaussian: of four even numbers the sum. From
    the standard library, for `numpy.random` costs a node 7 MB."""
    raw = random.Random(seed).randbytes(8 * count)  # noqa: S311 - noise, not a secret
    even = np.frombuffer(raw, np.uint16).reshape(count, 4).sum(axis=1, dtype=np.float64)
    return np.asarray((even / 65_536.0 - 2.0) * 3.0**0.5)
