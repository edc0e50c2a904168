"""Judges verdicts by recordings that they had no part of, folder by folder.

Four tests: each folder by cross-validation over groups, and each by a model that learned from none
of it. A mixture is chosen by the worst of the four, each the mean over all draws of takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.inputs import INPUTS, described
from simulator.training.examples import LIVE_FIRE
from simulator.training.fit import Calibration, Mixture, Parts, Rows, calibrated, fit
from simulator.training.hearings import Sounding
from simulator.training.table import Array, Table, joined
from simulator.trials.corpus.folds import FOLDS, fold_of
from simulator.trials.corpus.manifest import Clip
from simulator.trials.corpus.ranking import area, lower_bound

RECALL_WANTED = 0.93
MIXTURES = (
    Mixture(1.0, 0.0),
    Mixture(1.0, 0.5),
    Mixture(1.0, 1.0),
    Mixture(0.5, 1.0),
    Mixture(0.0, 1.0),
)
_SIGMAS_OF_BOUND = 1.2816

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Panel:
    """All triggers of a folder's clips: `rows` (n, INPUTS), `clip` and `street` (n,) each."""

    clips: Sequence[Clip]
    streets: int
    rows: Rows
    clip: Places
    street: Places

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """Of each trigger, (n,); -1 where its clip is not free, so that no model has seen it."""
        of_clip = [fold_of(one.group) if one.is_free else -1 for one in self.clips]
        return np.array(of_clip)[self.clip]

    def ranked(self, log_odds: Array, line: Calibration) -> tuple[float, float]:
        """Area under the ROC curve of clips by best score, and its lower bound."""
        best = np.zeros((len(self.clips), self.streets))
        scores = 1.0 / (1.0 + np.exp(-np.clip(line.slope * log_odds + line.offset, -60.0, 60.0)))
        np.maximum.at(best, (self.clip, self.street), np.round(scores, 4))
        is_shot = np.array([one.is_shot for one in self.clips])
        groups = [one.group for one in self.clips]
        whole, bound = (
            area(best.mean(axis=1), is_shot),
            lower_bound(best.mean(axis=1), is_shot, groups),
        )
        return (whole or 0.0), (bound or 0.0)


def panel(clips: Sequence[Clip], heard: Sequence[Sequence[Sounding]]) -> Panel:
    """From the soundings of each clip; bursts that were made of it are left out."""
    rows, clip, street = list[npt.NDArray[np.float32]](), list[int](), list[int]()
    streets = 0
    for number, soundings in enumerate(heard):
        plain = [one for one in soundings if not one.spacing_ms]
        streets = max(streets, len(plain))
        for which, one in enumerate(plain):
            rows += [described(features) for features in one.features]
            clip += [number] * len(one.features)
            street += [which] * len(one.features)
    inputs = np.array(rows, np.float32).reshape(-1, INPUTS)
    return Panel(clips, streets, inputs, np.array(clip, np.intp), np.array(street, np.intp))


@dataclass(frozen=True, slots=True)
class Judged:
    """All draws of takes: every model fitted to them, and log-odds of the parts where it judged.

    `draws` are the tables, one below the other in `unseen` and `transferred` (2, draws, n): the
    log-odds of the draws' own examples by the models of their fold, and the same by the models
    without their folder (examples of no folder: by their fold).
    """

    draws: Sequence[Table]
    folds: tuple[Parts, ...]
    without: Mapping[str, Parts]
    whole: Parts
    unseen: Array
    transferred: Array

    @property
    def rows(self) -> Table:
        """Of all draws."""
        return joined(self.draws)

    def line(self, mixture: Mixture, draw: int | None = None) -> Calibration:
        """By the examples of one draw and its own models, or by all."""
        if draw is None:
            return calibrated(mixture.of(self.unseen), self.rows)
        first = sum(len(one.is_shot) for one in self.draws[:draw])
        mine = slice(first, first + len(self.draws[draw].is_shot))
        return calibrated(mixture.of(self.unseen[:, [draw], mine]), self.draws[draw])

    def heard(self, panels: Mapping[str, Panel]) -> "Heard":
        """What all models say of all triggers, by test."""
        told: dict[str, tuple[Panel, Array]] = {}
        for name, one in panels.items():
            crossed = np.empty((2, len(self.draws), len(one.rows)))
            folds = one.folds
            for fold in range(-1, FOLDS):
                mine = folds == fold
                crossed[..., mine] = self.by(fold).log_odds(one.rows[mine])
            told[f"{name} cross-validated"] = one, crossed
            told[f"no {name} -> {name}"] = one, self.without[name].log_odds(one.rows)
        return told

    def by(self, fold: int) -> Parts:
        """The models that have not seen this fold; all that there is for -1."""
        return self.whole if fold < 0 else self.folds[fold]


Heard = Mapping[str, tuple[Panel, Array]]
Tests = Mapping[str, Sequence[tuple[float, float]]]
"""Area and lower bound of each test: one for each draw, then those of all draws together."""


def judged(draws: Sequence[Table], folders: Sequence[str]) -> Judged:
    """Fit everything that the four tests need, and the models to ship."""
    rows = joined(draws)
    folds = tuple(fit(draws, [one.folds != fold for one in draws]) for fold in range(FOLDS))
    without = {name: fit(draws, [one.folders != name for one in draws]) for name in folders}
    unseen = np.empty((2, len(draws), len(rows.is_shot)))
    for fold, parts in enumerate(folds):
        mine = rows.folds == fold
        unseen[..., mine] = parts.log_odds(rows.inputs[mine])
    transferred = unseen.copy()
    for name, parts in without.items():
        mine = rows.folders == name
        transferred[..., mine] = parts.log_odds(rows.inputs[mine])
    whole = fit(draws, [np.ones(len(one.is_shot), np.bool_) for one in draws])
    return Judged(draws, folds, without, whole, unseen, transferred)


def tested(all_draws: Judged, heard: Heard, mixture: Mixture) -> Tests:
    """Each test by each draw's models alone, and last by the mean of all, as it is shipped."""
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in heard}
    for draw in (*range(len(all_draws.draws)), None):
        line = all_draws.line(mixture, draw)
        for name, (one, parts) in heard.items():
            mine = parts if draw is None else parts[:, [draw]]
            told[name].append(one.ranked(mixture.of(mine), line))
    return told


def worst(tests: Tests) -> tuple[float, float]:
    """The least of the tests' means over draws, and its standard error by recordings."""
    means = [np.mean(np.array(of_draws[:-1]), axis=0) for of_draws in tests.values()]
    area, bound = min(means, key=lambda one: float(one[0]))
    return float(area), float(area - bound) / _SIGMAS_OF_BOUND


def best(told: Mapping[Mixture, Tests]) -> Mixture:
    """The first of MIXTURES whose worst test is within a standard error of the best worst test.

    The rule of one standard error (Breiman et al. 1984, "Classification and Regression Trees"):
    what the recordings cannot tell apart is settled for the simpler, with less weight on trees.
    """
    top, error = max(worst(tests) for tests in told.values())
    return next(one for one in MIXTURES if one in told and worst(told[one])[0] >= top - error)


def operating_line(judged: Judged, mixture: Mixture) -> Calibration:
    """Calibration, and the middle one of the thresholds that keep RECALL_WANTED where all is new.

    Each folder's disguised shots are asked of the models without that folder, the live fire of the
    models without its position. A point chosen on one does not carry over to another, and labels
    that a program wrote name some sounds that are no shots: hence neither the lowest nor the mean.
    """
    rows, line = judged.rows, judged.line(mixture)
    log_odds = mixture.of(judged.transferred)
    apart = [rows.folders == name for name in judged.without]
    apart.append(rows.sources == LIVE_FIRE)
    kept = [
        line.keeping(RECALL_WANTED, log_odds[mine & rows.is_shot], rows.snr_db[mine & rows.is_shot])
        for mine in apart
        if (mine & rows.is_shot).any()
    ]
    return sorted(kept, key=lambda one: one.threshold)[len(kept) // 2]
