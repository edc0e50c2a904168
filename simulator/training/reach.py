"""What the models that were just made reach on every labelled clip: the figures of `corpus`.

Nothing is heard again: the soundings are kept, and only the opinions are new. What they are used
for stands in the model card.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.core.hearing.classifier import Model
from simulator.training.hearings import Sounding
from simulator.trials.corpus.figures import figures, found_shots
from simulator.trials.corpus.listening import Heard, Trigger, in_turn
from simulator.trials.corpus.manifest import Clip

Soundings = Sequence[Sequence[Sounding]]
ModelOf = Callable[[Clip], Model]
_HALVINGS = 10


def reached(clips: Sequence[Clip], heard: Soundings, model_of: ModelOf) -> dict[str, Any]:
    """`figures` of the clips, each by its model, bursts made of them included."""
    listened, fired = [], list[tuple[int, Heard]]()
    for clip, soundings in zip(clips, heard, strict=True):
        judged = [(one.spacing_ms, _judged(clip, one, model_of(clip))) for one in soundings]
        listened.append(tuple(one for spacing_ms, one in judged if not spacing_ms))
        fired += [(spacing_ms, one) for spacing_ms, one in judged if spacing_ms]
    return figures(listened, fired)


def threshold_for(
    recall: float, clips: Sequence[Clip], heard: Soundings, model_of: ModelOf
) -> float:
    """The score wanted of faint sounds at which this share of the clips' shots is published."""
    shots = [
        (clip, one)
        for clip, soundings in zip(clips, heard, strict=True)
        for one in soundings
        if clip.is_shot and not one.spacing_ms
    ]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        told = [_judged(clip, one, at(middle, model_of(clip))) for clip, one in shots]
        found = sum(map(found_shots, told)) / sum(len(one.clip.onsets_s) for one in told)
        low, high = (middle, high) if found >= recall else (low, middle)
    return low


def at(threshold: float, model: Model) -> Model:
    """The same model with another score wanted of faint sounds."""
    return replace(model, threshold=threshold)


def missing(told: Mapping[str, Mapping[str, Any]], least_clips: int = 3) -> list[tuple[str, ...]]:
    """Rows (folder, class, clips, share with a candidate) of sounds that are no shot, worst first.

    What the models mistake most, while they have learned from none of the folder, is what training
    lacks most.
    """
    rows = [
        (row["clip_rate"], folder, kind, row["clips"])
        for folder, result in told.items()
        for kind, row in result["per_class"].items()
        if "recall" not in row and row["clips"] >= least_clips
    ]
    return [
        (folder, kind, str(clips), f"{rate:.0%}")
        for rate, folder, kind, clips in sorted(rows, reverse=True)
    ]


def _judged(clip: Clip, sounding: Sounding, model: Model) -> Heard:
    places = list(zip(sounding.at_s, sounding.features, strict=True))
    verdicts = in_turn(model, places)
    triggers = tuple(
        Trigger(at_s, features, verdict)
        for (at_s, features), verdict in zip(places, verdicts, strict=True)
    )
    fired = replace(clip, onsets_s=sounding.shots_s)
    return Heard(fired, sounding.clip_s, sounding.snr_db, triggers)
