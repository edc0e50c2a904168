"""Lets the node's own hearing listen to embedded clips, and writes down what it heard.

The path is the one of a node: blocks into `Hearing`, onsets out. Whether a shot was found is
`figures`' matter.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from agent.core.hearing.classification import judged_by
from agent.core.hearing.classifier import Model
from agent.core.hearing.following import Candidate
from agent.core.records.kinds import Features, Verdict
from simulator.trials.corpus.embedding import LEAD_IN_S, Embedding, embeddings
from simulator.trials.corpus.manifest import Clip

BLOCK_SAMPLES = 1024
EDGE_S = 20e-3

_PER_S = 1_000_000

JudgeOf = Callable[[Clip], Model | None]


@dataclass(frozen=True, slots=True)
class Trigger:
    """One onset within a clip, published or not; `at_s` counts from the clip's first sample."""

    at_s: float
    features: Features
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Heard:
    """All triggers of one embedding of a clip, in order."""

    clip: Clip
    clip_s: float
    snr_db: float
    triggers: tuple[Trigger, ...]

    @property
    def published(self) -> tuple[Trigger, ...]:
        """Those that a node would have sent."""
        return tuple(one for one in self.triggers if one.verdict.accepted)

    @property
    def best_score(self) -> float:
        """0 where nothing triggered."""
        return max((one.verdict.score for one in self.triggers), default=0.0)


def listen(
    clips: Iterable[Clip],
    seed: int,
    count: int,
    judge_of: JudgeOf,
    digitised: Callable[[Embedding], Embedding] = lambda one: one,
) -> Iterator[tuple[Heard, ...]]:
    """Per clip, what was heard in each of its `count` embeddings.

    `judge_of` gives the model to ask in place of the node's own, or None for the node's own.
    `digitised` is what a microphone makes of each embedding.
    """
    for clip in clips:
        model = judge_of(clip)
        yield tuple(heard(clip, digitised(one), model) for one in embeddings(clip, seed, count))


def judged_anew(heard: Heard, judge_of: JudgeOf) -> Heard:
    """The same triggers by another opinion; by their own where there is none."""
    model = judge_of(heard.clip)
    if model is None:
        return heard
    verdicts = in_turn(model, [(one.at_s, one.features) for one in heard.triggers])
    anew = zip(heard.triggers, verdicts, strict=True)
    return replace(heard, triggers=tuple(replace(one, verdict=verdict) for one, verdict in anew))


def in_turn(model: Model, heard: Iterable[tuple[float, Features]]) -> Iterator[Verdict]:
    """The verdict of `model` on onsets (s, features) in order, each led by those before it.

    It is the node's but for the places: `follows_sample` counts microseconds here.
    """
    latest: Candidate | None = None
    for at_s, features in heard:
        place = round((at_s + LEAD_IN_S) * _PER_S)
        verdict = judged_by(model, features, model.lead(latest, place, features))
        if verdict.accepted:
            latest = Candidate(place, _PER_S, features)
        yield verdict


def onsets(samples: Embedding) -> Iterator[Onset]:
    """All onsets of one embedding, background included."""
    hearing = Hearing(AudioFormat(samples.rate_hz))
    for start in range(0, len(samples.samples), BLOCK_SAMPLES):
        block = samples.samples[start : start + BLOCK_SAMPLES]
        yield from hearing.on_block(AudioBlock(start, block, 0))
    yield from hearing.finish()


def heard(clip: Clip, embedding: Embedding, model: Model | None) -> Heard:
    """What is triggered within the clip, by the node's own opinion where `model` is None."""
    edge = round(EDGE_S * embedding.rate_hz)
    every = [((one.sample - embedding.start) / embedding.rate_hz, one) for one in onsets(embedding)]
    own = (one.verdict for _, one in every)
    verdicts = in_turn(model, [(at_s, one.features) for at_s, one in every]) if model else own
    triggers = tuple(
        Trigger(at_s, one.features, verdict)
        for (at_s, one), verdict in zip(every, verdicts, strict=True)
        if embedding.start - edge <= one.sample < embedding.stop + edge
    )
    clip_s = (embedding.stop - embedding.start) / embedding.rate_hz
    return Heard(clip, clip_s, embedding.snr_db, triggers)
