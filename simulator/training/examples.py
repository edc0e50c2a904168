"""What the node's own hearing makes of labelled sound: features of every trigger, with its label.

In a take with shots, triggers that are no labelled shot (echoes, mostly) teach nothing either way.
What one lesson gave is kept on a shelf: it hangs on its sound, the draw and the code alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from agent.core.records.kinds import Features
from agent.core.units import NS_PER_S
from simulator.scene.randomness import stream
from simulator.training import scenes
from simulator.training.cache import MADE_BY, TAKEN_BY, Shelf, code_digest
from simulator.training.confusers import confusers
from simulator.training.takes import Take, of_clip
from simulator.trials.corpus.embedding import embed
from simulator.trials.corpus.folds import live_fire_group
from simulator.trials.corpus.listening import onsets
from simulator.trials.corpus.manifest import Clip
from simulator.trials.livefire.dataset import RATE_HZ, Test
from simulator.trials.livefire.neutralise import LEAD_IN_S, neutralise

CLIPS, SHOTS, CONFUSERS, LIVE_FIRE = "clips", "synthetic shots", "synthetic confusers", "live fire"
WITHIN_S = 10e-3
_LEAD_IN_S = 4.0
_SNR_DB = (16.0, 52.0)
_OF_SHOT, _OF_OTHER = (6, 18), (2, 6)
_OF_GROUP = 36, 18
_SCENES = 500
_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Example:
    """One trigger. `take` names the take that it came from, `folder` that of its clip, or is empty.

    `kind` is the class of the manifest, or says how the sound was made.
    """

    features: Features
    is_shot: bool
    source: str
    folder: str
    group: str
    kind: str
    take: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A piece of work: `takes` makes sound from a generator of its own."""

    source: str
    folder: str
    name: str
    digest: str
    takes: Callable[[np.random.Generator], Iterable[Take]]


def examples(lesson: Lesson, takes: Iterable[Take], rng: np.random.Generator) -> Iterator[Example]:
    """All triggers of all takes, each take in a street of its own."""
    for number, take in enumerate(takes):
        street = int(rng.integers(1 << 16))
        one = embed(take.sound, take.rate_hz, rng, street, _SNR_DB, _LEAD_IN_S)
        for onset in onsets(one):
            at_s = (onset.sample - one.start) / one.rate_hz
            is_shot = any(abs(at_s - shot_s) <= WITHIN_S for shot_s in take.shots_s)
            if is_shot or (not take.shots_s and one.start <= onset.sample < one.stop):
                yield Example(
                    features=onset.features,
                    is_shot=is_shot,
                    source=lesson.source,
                    folder=lesson.folder,
                    group=take.group,
                    kind=take.kind,
                    take=f"{lesson.name} {number}",
                )


def lessons(folders: Mapping[str, Sequence[Clip]], tests: Sequence[Test]) -> Iterator[Lesson]:
    """Everything to learn from. Clips that are not free are left."""
    for test in tests:
        name = f"{test.position} {test.name}"
        yield Lesson(LIVE_FIRE, "", name, code_digest(*MADE_BY), partial(_live_fire, test))
    made = code_digest(*TAKEN_BY)
    for folder, clips in folders.items():
        sizes = Counter(one.group for one in clips if one.is_free)
        for clip in clips:
            if clip.is_free:
                count = _count(clip, sizes[clip.group])
                digest = f"{made} {clip.digest()} {count}"
                takes = partial(of_clip, clip, count)
                yield Lesson(CLIPS, folder, clip.name, digest, takes)
    scenery = code_digest(*TAKEN_BY, ("simulator.training", ("scenes",)))
    for first in range(0, _SCENES, _AT_ONCE):
        takes = partial(scenes.shots, first, min(_AT_ONCE, _SCENES - first))
        yield Lesson(SHOTS, "", str(first), scenery, takes)
    for make, first, count, digest in confusers(_AT_ONCE):
        takes = partial(scenes.confusers, make, first, count)
        yield Lesson(CONFUSERS, "", f"{make.__name__} {first}", digest, takes)


def gather(work: Iterable[Lesson], seed: int, shelf: Shelf, workers: int) -> list[Example]:
    """Examples of all lessons, the same for the same seed."""
    with ProcessPoolExecutor(workers) as pool:
        learn = partial(learned, seed=seed, shelf=shelf)
        return list(chain.from_iterable(pool.map(learn, work, chunksize=4)))


def learned(lesson: Lesson, seed: int, shelf: Shelf) -> list[Example]:
    """What one lesson gives."""
    name = (lesson.source, lesson.name)

    def make() -> list[Example]:
        takes = lesson.takes(stream(seed, "takes", *name))
        return list(examples(lesson, takes, stream(seed, "streets", *name)))

    follows = ("example", lesson.digest, *name, lesson.folder, str(seed))
    return shelf.kept(Example, follows, make)


def _count(clip: Clip, of_group: int) -> int:
    """Takes of a clip: fewer where many clips are of its group."""
    low, high = _OF_SHOT if clip.is_shot else _OF_OTHER
    return max(low, min(high, round(_OF_GROUP[not clip.is_shot] / of_group)))


def _live_fire(test: Test, rng: np.random.Generator) -> Iterator[Take]:
    """The recordings of a live-fire test; shots are the pulses that were used for location."""
    used = {uuid for group in test.tuples for uuid in group}
    seed = int(rng.integers(1 << 31))
    for recording in test.recordings:
        neutral = neutralise(recording, seed)
        shots_s = tuple(
            (pulse.arrival_utc_ns - recording.start_utc_ns) / NS_PER_S
            for pulse in test.pulses
            if pulse.sensor == recording.sensor and pulse.uuid in used
        )
        if shots_s:
            sound = neutral.samples[LEAD_IN_S * RATE_HZ :] / 32_768.0
            yield Take(sound, RATE_HZ, shots_s, live_fire_group(test.position), LIVE_FIRE)
