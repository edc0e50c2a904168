"""Takes the answer out of the padding, and gives each recording a lead-in to settle on.

Most files are short excerpts, zero-padded to 10 s and cut about 1 s before the recording
system's own arrival: the padding edges alone would locate the shots. Here a seeded random part
is trimmed off each excerpt's start, and everything around it becomes that sensor's own
background. With `blank=True` the excerpt is replaced too: the null control.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.trials.livefire.dataset import RATE_HZ, Recording

LEAD_IN_S = 60
MAX_TRIM_S = 0.9
_FADE = RATE_HZ // 20
_PATCH = RATE_HZ // 4

Sound = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Neutral:
    """A continuous recording: lead-in, background, trimmed excerpt, background."""

    sensor: str
    start_utc_ns: int
    samples: Sound


def excerpt_span(samples: Sound) -> tuple[int, int]:
    """First and one-past-last sample between the zero padding."""
    sounding = np.flatnonzero(samples)
    return int(sounding[0]), int(sounding[-1]) + 1


def quiet_patch(excerpt: Sound) -> npt.NDArray[np.float64]:
    """The quietest quarter second of an excerpt, by the loudest 20 ms in it, mean removed.

    It is taken anywhere in the excerpt, so it says nothing of when a shot arrived.
    """
    piece = RATE_HZ // 50
    whole = excerpt[: len(excerpt) // piece * piece].astype(np.float64)
    rms = np.sqrt(np.mean(whole.reshape(-1, piece) ** 2, axis=1))
    per_patch = _PATCH // piece
    if len(rms) <= per_patch:
        return whole - whole.mean() if len(whole) else np.zeros(piece)
    loudest = np.lib.stride_tricks.sliding_window_view(rms, per_patch).max(axis=1)
    start = int(np.argmin(loudest)) * piece
    patch = whole[start : start + _PATCH]
    return np.asarray(patch - patch.mean())


def background(
    patch: npt.NDArray[np.float64], length: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """`length` samples that sound like `patch`: its own pieces, looped and cross-faded.

    Pieces start at random places and are joined over 50 ms with equal power, so the level is
    kept and no period can be learned by a gate.
    """
    fade = min(_FADE, len(patch) // 3)
    rising = np.sin(np.linspace(0.0, np.pi / 2, fade, endpoint=False))
    out = np.zeros(length + len(patch) + fade)
    at = 0
    while at < length + fade:
        first = int(rng.integers(0, len(patch) // 4 + 1))
        piece = patch[first:].copy() * rng.choice((-1.0, 1.0))
        piece[:fade] *= rising
        piece[-fade:] *= rising[::-1]
        out[at : at + len(piece)] += piece
        at += len(piece) - fade
    return np.asarray(out[fade : fade + length])


def neutralise(recording: Recording, seed: int, *, blank: bool = False) -> Neutral:
    """Lead-in of LEAD_IN_S plus the file's own span, with only the trimmed excerpt kept."""
    rng = np.random.default_rng([seed, *recording.sensor.encode(), recording.start_utc_ns // 10**9])
    first, last = excerpt_span(recording.samples)
    patch = quiet_patch(recording.samples[first:last])
    trim = int(rng.uniform(0.0, MAX_TRIM_S) * RATE_HZ)
    lead_in = LEAD_IN_S * RATE_HZ
    total = background(patch, lead_in + len(recording.samples), rng)
    if not blank:
        kept = recording.samples[first + trim : last].astype(np.float64)
        _lay(total, kept, lead_in + first + trim)
    samples = np.clip(np.round(total), -32768, 32767).astype(np.int16)
    start_utc_ns = recording.start_utc_ns - LEAD_IN_S * 10**9
    return Neutral(recording.sensor, start_utc_ns, samples)


def _lay(total: npt.NDArray[np.float64], piece: npt.NDArray[np.float64], at: int) -> None:
    """Put `piece` into `total` at `at`, cross-faded with equal power at both ends."""
    fade = min(_FADE, len(piece) // 3)
    rising = np.sin(np.linspace(0.0, np.pi / 2, fade, endpoint=False))
    weight = np.ones(len(piece))
    weight[:fade], weight[-fade:] = rising, rising[::-1]
    span = slice(at, at + len(piece))
    total[span] = total[span] * np.sqrt(1.0 - weight**2) + piece * weight
