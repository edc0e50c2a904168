"""Other people's onset detectors, each used as its users would, for measuring beside ours.

A detector is a function from int16 samples at RATE_HZ to picks (sample, score): its own
characteristic function where that is largest, whatever its height, so that one threshold can
be chosen for all of them alike. None of these are needed to run a node.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import butter, find_peaks, hilbert, sosfilt

from tests.support.noisystreet import RATE_HZ

Picks = list[tuple[float, float]]

STA, LTA = RATE_HZ // 1000, RATE_HZ // 20
_APART = RATE_HZ // 20
_AIC_BACK, _AIC_AHEAD = RATE_HZ // 200, RATE_HZ // 500

_AUBIO = """
import json, sys, time
import aubio, numpy
path, method, hop, threshold = sys.argv[1:]
hop = int(hop)
sound = numpy.fromfile(path, numpy.int16)
tracker = aubio.onset(method, 4 * hop, hop, 48000)
tracker.set_threshold(float(threshold))
tracker.set_minioi_ms(50)
tracker.set_silence(-90)
began, found = time.process_time(), []
for start in range(0, len(sound) - hop + 1, hop):
    piece = sound[start : start + hop].astype(numpy.float32) / 32768
    if tracker(piece):
        found.append((tracker.get_last(), float(tracker.get_thresholded_descriptor())))
print(json.dumps({"cpu_s": time.process_time() - began, "picks": found, "version": aubio.version}))
"""


def obspy_trigger() -> object | None:
    """ObsPy's module of triggers, None where it is not installed."""
    try:
        with warnings.catch_warnings(action="ignore"):
            import obspy.signal.trigger as module
    except ImportError:
        return None
    return module


def recursive(trigger: object) -> Callable[[np.ndarray], np.ndarray]:
    """STA/LTA of 1 ms over 50 ms, ObsPy's C code, over a whole recording."""
    return lambda sound: trigger.recursive_sta_lta(sound.astype(np.float64), STA, LTA)


def recursive_streamed(trigger: object, sound: np.ndarray, block: int) -> None:
    """The same block by block: it keeps no state, so each call gets the last LTA samples again."""
    tail = np.zeros(LTA)
    for start in range(0, len(sound) - block + 1, block):
        piece = np.concatenate((tail, sound[start : start + block]))
        ratio = trigger.recursive_sta_lta(piece, STA, LTA)[LTA:]
        ratio.max()
        tail = piece[-LTA:]


def picks_of(ratio: np.ndarray) -> Picks:
    """The largest values of a characteristic function, 50 ms apart."""
    at, known = find_peaks(ratio, distance=_APART, height=0.0)
    return list(zip(at.astype(float), known["peak_heights"], strict=True))


def obspy_picks(trigger: object, sound: np.ndarray, *, aic: bool) -> Picks:
    """STA/LTA peaks, moved to where the ratio began to rise, or to the minimum of Akaike's AIC."""
    wave = _high_passed(sound)
    ratio = trigger.recursive_sta_lta(wave, STA, LTA)
    ratio[:LTA] = 0.0
    moved = []
    for peak, score in picks_of(ratio):
        start, stop = max(0, int(peak) - _AIC_BACK), int(peak) + _AIC_AHEAD
        if aic:
            place = start + int(np.argmin(trigger.aic_simple(wave[start:stop])[1:-1])) + 1
        else:
            low = np.flatnonzero(ratio[start : int(peak) + 1] < 0.2 * score)
            place = start + (int(low[-1]) + 1 if len(low) else 0)
        moved.append((float(place), float(score)))
    return moved


def scipy_picks(sound: np.ndarray) -> Picks:
    """Peaks of the Hilbert envelope of a band-pass, over its running median by seconds."""
    band = butter(4, (500, 8_000), "band", fs=RATE_HZ, output="sos")
    found: Picks = []
    for start in range(0, len(sound), 60 * RATE_HZ):
        piece = sosfilt(band, sound[start : start + 60 * RATE_HZ].astype(np.float64))
        envelope = np.abs(hilbert(piece))
        seconds = -(-len(envelope) // RATE_HZ)
        floor = [np.median(envelope[s * RATE_HZ : (s + 1) * RATE_HZ]) for s in range(seconds)]
        ratio = envelope / np.repeat(floor, RATE_HZ)[: len(envelope)]
        found += [(start + at, score) for at, score in picks_of(ratio)]
    return found


def scipy_pass(sound: np.ndarray) -> None:
    """What the envelope costs over a whole recording."""
    scipy_picks(sound)


@lru_cache(maxsize=1)
def aubio_python() -> str | None:
    """A Python that has aubio: this one, or the distribution's (python3-aubio)."""
    for python in (sys.executable, "/usr/bin/python3"):
        if Path(python).exists():
            asked = subprocess.run([python, "-c", "import aubio"], capture_output=True, check=False)
            if asked.returncode == 0:
                return python
    return None


def aubio(
    sound: np.ndarray, scratch: Path, method: str = "specflux", hop: int = 512, least: float = 0.05
) -> dict:
    """`cpu_s`, `picks` and `version` of aubio's onset detector, streamed in hops."""
    path = scratch / "sound.raw"
    sound.tofile(path)
    command = [aubio_python() or "", "-c", _AUBIO, str(path), method, str(hop), str(least)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=one_thread)
    return json.loads(done.stdout)


def _high_passed(sound: np.ndarray) -> np.ndarray:
    """Without wind: STA/LTA over raw street noise would follow gusts alone."""
    return sosfilt(butter(2, 200, "high", fs=RATE_HZ, output="sos"), sound.astype(np.float64))
