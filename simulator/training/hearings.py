"""What the node's ears make of every labelled clip, kept, so that any model can be asked of it.

Streets, bursts and clips are those of `earshot-sim corpus` with the same seed; only the opinion is
left out, because it is the opinions that are compared.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from agent.core.records.kinds import Features
from simulator.training.cache import MADE_BY, Shelf, code_digest
from simulator.trials.corpus.listening import Heard, listen
from simulator.trials.corpus.manifest import Clip
from simulator.trials.corpus.rapidfire import rapid_fire


@dataclass(frozen=True, slots=True)
class Sounding:
    """One street of one clip, or of one burst made of it: places and features of its triggers."""

    clip_s: float
    snr_db: float
    spacing_ms: int
    shots_s: tuple[float, ...]
    at_s: tuple[float, ...]
    features: tuple[Features, ...]


def listened(
    clips: Sequence[Clip], seed: int, count: int, shelf: Shelf, workers: int
) -> list[list[Sounding]]:
    """The soundings of each clip."""
    with ProcessPoolExecutor(workers) as pool:
        hear = partial(soundings, seed=seed, count=count, shelf=shelf)
        return list(pool.map(hear, clips, chunksize=8))


def soundings(clip: Clip, seed: int, count: int, shelf: Shelf) -> list[Sounding]:
    """The clip in `count` streets, then the bursts made of it, if it is one to make them of."""
    digest = code_digest(*MADE_BY)
    follows = ("sounding", digest, clip.digest(), str(seed), str(count))
    return shelf.kept(Sounding, follows, partial(_listened, clip, seed, count))


def _listened(clip: Clip, seed: int, count: int) -> list[Sounding]:
    plain = next(iter(listen([clip], seed, count, _nobody)))
    made = [_sounding(0, one) for one in plain]
    return made + [_sounding(ms, one) for ms, one in rapid_fire([clip], seed, count, _nobody)]


def _nobody(_clip: Clip) -> None:
    return None


def _sounding(spacing_ms: int, heard: Heard) -> Sounding:
    return Sounding(
        clip_s=heard.clip_s,
        snr_db=heard.snr_db,
        spacing_ms=spacing_ms,
        shots_s=heard.clip.onsets_s,
        at_s=tuple(one.at_s for one in heard.triggers),
        features=tuple(one.features for one in heard.triggers),
    )
