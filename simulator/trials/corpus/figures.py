"""The figures of a corpus run: recall, false candidates, ranking and bursts, as one JSON object.

Rates are per hour of clip, background excluded. A clip's score is the best of its triggers,
averaged over its embeddings; clips are ranked by it, every clip that is no shot counting
against.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from agent.core.hearing.classification import OUT_OF_RANGE
from simulator.trials.corpus.bill import bytes_an_hour
from simulator.trials.corpus.listening import Heard
from simulator.trials.corpus.ranking import area, lower_bound

REPORTED_APART = ("gun_handling", "explosion", "fireworks", "balloon_pop")
SPENT_ON_FALSE = 0.05

Listened = Sequence[tuple[Heard, ...]]


def figures(listened: Listened, rapid_fire: Iterable[tuple[int, Heard]] = ()) -> dict[str, Any]:
    """Everything that a run says, by the names in its JSON.

    `rapid_fire` are synthetic bursts, each with its spacing in ms.
    """
    heard = [one for group in listened for one in group]
    shots = [one for one in heard if one.clip.is_shot]
    steady = [one for one in heard if not one.clip.is_shot and not one.clip.is_impulsive]
    confusers = [one for one in heard if not one.clip.is_shot and one.clip.is_impulsive]
    common = [one for one in confusers if one.clip.kind not in REPORTED_APART]
    return {
        "clips": len(listened),
        "embeddings": len(heard) // max(1, len(listened)),
        "clip_hours": _rounded(_hours(heard)),
        "shot_recall": _share(map(found_shots, shots), map(_shots, shots)),
        "false_per_hour": _per_hour(steady),
        "confuser_clip_rate": _clip_rate(common),
        **{
            f"{kind}_clip_rate": _clip_rate([one for one in confusers if one.clip.kind == kind])
            for kind in REPORTED_APART
        },
        **_ranking(listened),
        **_bursts(shots),
        **_rapid_fire(rapid_fire),
        "out_of_range": _out_of_range(heard),
        "per_class": {kind: _class(group) for kind, group in _by_kind(heard).items()},
        "missed_shots": _missed(shots),
    }


def found_shots(heard: Heard) -> int:
    """Shots with a published onset within the clip's accuracy; each onset answers for one."""
    return len(_matched(heard))


def _matched(heard: Heard) -> dict[int, int]:
    """Shot -> onset, nearest pairs first, one to one."""
    near = sorted(
        (abs(one.at_s - shot_s), shot, number)
        for number, one in enumerate(heard.published)
        for shot, shot_s in enumerate(heard.clip.onsets_s)
        if abs(one.at_s - shot_s) <= heard.clip.accuracy_s
    )
    pairs: dict[int, int] = {}
    for _, shot, number in near:
        if shot not in pairs and number not in pairs.values():
            pairs[shot] = number
    return pairs


def _spurious(heard: Heard) -> int:
    """Published onsets that are neither a shot nor a muzzle blast that the labels know of."""
    used = set(_matched(heard).values())
    known_s, slack_s = heard.clip.secondary_s, heard.clip.accuracy_s
    return sum(
        number not in used and not any(abs(one.at_s - at_s) <= slack_s for at_s in known_s)
        for number, one in enumerate(heard.published)
    )


def _ranking(listened: Listened) -> dict[str, Any]:
    """Area under the ROC curve with its lower bound, and the recall at 5 % of false."""
    scores = np.array([np.mean([one.best_score for one in group]) for group in listened])
    is_shot = np.array([group[0].clip.is_shot for group in listened])
    recall, bad = None, np.sort(scores[~is_shot])[::-1]
    if len(bad) and is_shot.any():
        threshold = bad[int(SPENT_ON_FALSE * len(bad))]
        recall = _rounded(float(np.mean(scores[is_shot] > threshold)))
    groups = [group[0].clip.group for group in listened]
    bound = lower_bound(scores, is_shot, groups)
    above = area(scores, is_shot)
    return {
        "auc": None if above is None else _rounded(above),
        "auc_lower_90": None if bound is None else _rounded(bound),
        "recall_at_5pct_fpr": recall,
    }


def _bursts(shots: Sequence[Heard]) -> dict[str, Any]:
    bursts = [one for one in shots if _shots(one) > 1]
    found, spurious = _rounds(bursts)
    return {
        "burst_clips": len({one.clip.name for one in bursts}),
        "burst_recall": found,
        "burst_spurious_share": spurious,
    }


def _rapid_fire(bursts: Iterable[tuple[int, Heard]]) -> dict[str, Any]:
    by_spacing: dict[int, list[Heard]] = defaultdict(list)
    for spacing_ms, one in bursts:
        by_spacing[spacing_ms].append(one)
    heard = [one for group in by_spacing.values() for one in group]
    found, spurious = _rounds(heard)
    return {
        "rapid_fire_clips": len({one.clip.name for one in heard}),
        "rapid_fire_recall": found,
        "rapid_fire_spurious_share": spurious,
        "rapid_fire_recall_by_ms": {ms: _rounds(one)[0] for ms, one in by_spacing.items()},
    }


def _rounds(bursts: Sequence[Heard]) -> tuple[float | None, float | None]:
    """Share of rounds with an onset of their own, and spurious onsets per round."""
    rounds = sum(map(_shots, bursts))
    found = _share(map(found_shots, bursts), map(_shots, bursts))
    return found, _rounded(sum(map(_spurious, bursts)) / rounds) if rounds else None


def _class(heard: Sequence[Heard]) -> dict[str, Any]:
    row = {
        "clips": len({one.clip.name for one in heard}),
        "triggers": sum(len(one.triggers) for one in heard),
        "published": sum(len(one.published) for one in heard),
        "published_per_hour": _per_hour(heard),
        "clip_rate": _clip_rate(heard),
    }
    if not heard[0].clip.is_impulsive:
        row["kb_an_hour"] = round(bytes_an_hour(heard) / 1000)
    if heard[0].clip.is_shot:
        row["recall"] = _share(map(found_shots, heard), map(_shots, heard))
    return row


def _missed(shots: Sequence[Heard]) -> dict[str, int]:
    """Clips with shots missed, and how many over all embeddings."""
    missed: dict[str, int] = defaultdict(int)
    for one in shots:
        missed[one.clip.name] += _shots(one) - found_shots(one)
    return {name: count for name, count in missed.items() if count}


def _by_kind(heard: Sequence[Heard]) -> dict[str, list[Heard]]:
    groups: dict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        groups[one.clip.kind].append(one)
    return dict(sorted(groups.items()))


def _out_of_range(heard: Sequence[Heard]) -> float | None:
    """Share of triggers whose sound lies outside what the model has learned."""
    reasons = [one.verdict.reason for group in heard for one in group.triggers]
    return _rounded(reasons.count(OUT_OF_RANGE) / len(reasons)) if reasons else None


def _shots(heard: Heard) -> int:
    return len(heard.clip.onsets_s)


def _hours(heard: Sequence[Heard]) -> float:
    return sum(one.clip_s for one in heard) / 3600.0


def _per_hour(heard: Sequence[Heard]) -> float | None:
    hours = _hours(heard)
    return _rounded(sum(len(one.published) for one in heard) / hours) if hours else None


def _clip_rate(heard: Sequence[Heard]) -> float | None:
    """Share of embedded clips with any published candidate."""
    return _rounded(sum(bool(one.published) for one in heard) / len(heard)) if heard else None


def _share(part: Iterable[int], whole: Iterable[int]) -> float | None:
    total = sum(whole)
    return _rounded(sum(part) / total) if total else None


def _rounded(value: float) -> float:
    return round(value, 4)
