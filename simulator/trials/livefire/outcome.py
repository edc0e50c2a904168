"""The live-fire figures: the score, the scatter at each firing position, and the JSON report."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.centre.locator.incident import Incident
from simulator.grid.grid import GridResult
from simulator.report import wording
from simulator.report.score import SAME_PLACE_M, UNLOCATED_WITHIN_NS, Row, Score, rounded
from simulator.trials.livefire.dataset import Test
from simulator.trials.livefire.sites import Site, valid_name


@dataclass(frozen=True, slots=True)
class PositionOutcome:
    """One firing position: errors of its located rounds, and the axes of their scatter.

    The scatter is taken about its own mean, as 1 sigma along its longest direction and across.
    None where too few rounds were located to tell.
    """

    fired: int
    located: int
    rms_m: float | None
    sigma1_m: float | None
    sigma2_m: float | None


@dataclass(frozen=True, slots=True)
class LiveFireRun:
    """Everything that a report of one replay needs."""

    tests: Sequence[Test]
    sites: Mapping[str, Site]
    score: Score
    result: GridResult
    seed: int
    is_blank: bool
    sample: Mapping[str, Any] | None = None

    def rows_of(self, position: str) -> list[Row]:
        """The fired rounds of one firing position."""
        cells = {valid_name(test.name) for test in self.tests if test.position == position}
        return [row for row in self.score.rows if row.truth.cell in cells]


def by_position(run: LiveFireRun) -> dict[str, PositionOutcome]:
    """The outcome of each firing position, by name."""
    return {position: _outcome(run.rows_of(position)) for position in sorted(run.sites)}


def exact_round_count_tests(run: LiveFireRun) -> int:
    """Tests with exactly as many rounds located within 50 m of the survey as were fired."""
    found: dict[str, list[Incident]] = defaultdict(list)
    for incident in run.score.located:
        found[incident.cell].append(incident)
    return sum(_near_survey(run, test, found[valid_name(test.name)]) for test in run.tests)


def without_place(run: LiveFireRun) -> tuple[int, int]:
    """Incidents told without a place, and how many of them at a time when nothing was fired."""
    told = [one for one in run.result.incidents if one.status != "located"]
    return len(told), sum(not _is_of_a_round(run, one) for one in told)


def as_json(run: LiveFireRun) -> dict[str, Any]:
    """Counts, unless the name says otherwise."""
    result, (told, false) = run.result, without_place(run)
    return {
        "tests": len(run.tests),
        **run.score.summary(),
        "told_without_place": told,
        "told_without_place_false": false,
        "exact_round_count_tests": exact_round_count_tests(run),
        "per_position": {
            position: {
                "fired": outcome.fired,
                "located": outcome.located,
                "rms_m": rounded(outcome.rms_m),
                "sigma1_m": rounded(outcome.sigma1_m),
                "sigma2_m": rounded(outcome.sigma2_m),
            }
            for position, outcome in by_position(run).items()
        },
        "not_located": dict(wording.causes(run.score)),
        "nodes": len(result.stations),
        "records_published": result.records_published,
        "records_verified": result.records_verified,
        "chain_faults": len(result.chain_faults),
        "audio_s": round(result.audio_s, 1),
        "wall_s": round(result.wall_s, 1),
        "cpu_s": round(result.cpu_s, 1),
        "broker": result.broker,
        "seed": run.seed,
        "blank": run.is_blank,
    }


def _is_of_a_round(run: LiveFireRun, incident: Incident) -> bool:
    earliest_ns, latest_ns = UNLOCATED_WITHIN_NS
    fired = [row.truth.utc_ns for row in run.score.rows if row.truth.cell == incident.cell]
    return any(
        at_ns is None or earliest_ns <= incident.utc_ns - at_ns <= latest_ns for at_ns in fired
    )


def _outcome(rows: Sequence[Row]) -> PositionOutcome:
    errors_m = [row.error_m for row in rows if row.error_m is not None]
    rms_m = math.sqrt(sum(one**2 for one in errors_m) / len(errors_m)) if errors_m else None
    sigmas_m = _scatter_m(rows)
    return PositionOutcome(len(rows), len(errors_m), rms_m, *sigmas_m)


def _scatter_m(rows: Sequence[Row]) -> tuple[float, float] | tuple[None, None]:
    offsets = [
        (row.located.enu_m[0] - row.truth.enu_m[0], row.located.enu_m[1] - row.truth.enu_m[1])
        for row in rows
        if row.located is not None
    ]
    if len(offsets) < 3:
        return None, None
    minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(np.array(offsets).T)), 0.0))
    return float(major), float(minor)


def _near_survey(run: LiveFireRun, test: Test, incidents: Sequence[Incident]) -> bool:
    survey_m = run.sites[test.position].local_m(test.survey_m)
    near = sum(
        math.dist(one.enu_m[:2], survey_m[:2]) <= SAME_PLACE_M
        for incident in incidents
        for one in incident.rounds
    )
    return near == test.rounds
