"""What the node's own hearing makes of labelled sound: features of every trigger, with its label.

In a take with shots, triggers that are no labelled shot (echoes, mostly) teach nothing either way.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from agent.core.records.kinds import Features
from agent.core.units import NS_PER_S
from simulator.scene.randomness import stream
from simulator.training import scenes
from simulator.training.takes import Take, of_clips
from simulator.trials.corpus.embedding import embed
from simulator.trials.corpus.folds import live_fire_group
from simulator.trials.corpus.listening import onsets
from simulator.trials.corpus.manifest import Clip
from simulator.trials.livefire.dataset import RATE_HZ, Test
from simulator.trials.livefire.neutralise import LEAD_IN_S, neutralise

WITHIN_S = 10e-3
_LEAD_IN_S = 4.0
_SNR_DB = (16.0, 52.0)
_TAKES = {"of_shot": 18, "of_other": 6, "of_burst": 0}
_SHOT_SCENES = 500
_CONFUSER_SCENES = 480
_SOURCES = ("clips", "synthetic confusers", "synthetic shots", "live fire")


@dataclass(frozen=True, slots=True)
class Example:
    """One trigger. `take` numbers the take within its `source` that it came from."""

    features: Features
    is_shot: bool
    source: str
    group: str
    kind: str
    take: int


def examples(source: str, takes: Iterable[Take], rng: np.random.Generator) -> Iterator[Example]:
    """All triggers of all takes, each take in a street of its own."""
    for number, take in enumerate(takes):
        street = int(rng.integers(1 << 16))
        one = embed(take.sound, take.rate_hz, rng, street, _SNR_DB, _LEAD_IN_S)
        for onset in onsets(one):
            at_s = (onset.sample - one.start) / one.rate_hz
            is_shot = any(abs(at_s - shot_s) <= WITHIN_S for shot_s in take.shots_s)
            if is_shot or (not take.shots_s and one.start <= onset.sample < one.stop):
                yield Example(onset.features, is_shot, source, take.group, take.kind, number)


def gather(clips: Sequence[Clip], tests: Sequence[Test], seed: int) -> Iterator[Example]:
    """Everything to learn from, the same for the same seed. Clips that are not free are left."""
    with ProcessPoolExecutor() as workers:
        yield from chain.from_iterable(
            workers.map(_gathered, _SOURCES, repeat(clips), repeat(tests), repeat(seed))
        )


def _gathered(
    source: str, clips: Sequence[Clip], tests: Sequence[Test], seed: int
) -> list[Example]:
    takes = {
        "clips": lambda: of_clips(clips, stream(seed, "clips"), **_TAKES),
        "synthetic shots": lambda: scenes.shots(_SHOT_SCENES, stream(seed, "shots")),
        "synthetic confusers": lambda: scenes.confusers(
            _CONFUSER_SCENES, stream(seed, "confusers")
        ),
        "live fire": lambda: _live_fire(tests, seed),
    }[source]()
    return list(examples(source, takes, stream(seed, "streets", source)))


def _live_fire(tests: Iterable[Test], seed: int) -> Iterator[Take]:
    """The recordings of the live-fire tests; shots are the pulses that were used for location."""
    for test in tests:
        used = {uuid for group in test.tuples for uuid in group}
        for recording in test.recordings:
            neutral = neutralise(recording, seed)
            shots_s = tuple(
                (pulse.arrival_utc_ns - recording.start_utc_ns) / NS_PER_S
                for pulse in test.pulses
                if pulse.sensor == recording.sensor and pulse.uuid in used
            )
            if shots_s:
                sound = neutral.samples[LEAD_IN_S * RATE_HZ :] / 32_768.0
                yield Take(sound, RATE_HZ, shots_s, live_fire_group(test.position), "live fire")
