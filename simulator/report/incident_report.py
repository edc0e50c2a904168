"""`report.html` of a scenario run: what was run, the verdict, pictures, and what was missed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.units import rfc3339
from simulator.grid.grid import GridResult
from simulator.grid.scenario import Scenario
from simulator.report import wording
from simulator.report.page import (
    Markup,
    cards,
    figure,
    heading,
    page,
    paragraph,
    preformatted,
    side_by_side,
    table,
    verdict,
)
from simulator.report.plots import error_target, residual_strips, scene_map
from simulator.report.score import Score
from simulator.scene.propagation import Wall

FOOTER = (
    "Written by earshot-sim. Nodes heard virtual air, but everything from the microphone port on "
    "is the agent that runs on a pole; the locator was given signed records and nothing else."
)


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """One run of one scenario; `faults` are the limits it missed, `sample` one signed body."""

    scenario: Scenario
    mode: str
    result: GridResult
    score: Score
    faults: Sequence[str]
    sample: Mapping[str, Any] | None = None


def scenario_report(run: ScenarioRun) -> str:
    """The whole page."""
    return page(
        f"Earshot: scenario {run.scenario.name}",
        _lead(run),
        [
            verdict(verdict_line(run.score, run.faults), not run.faults),
            key_figures(run.result, run.score),
            *_pictures(run),
            heading("Every round that was fired"),
            _rounds(run.score),
            *misses_section(run.score),
            *incidents_section(run.score),
            *sample_section(run.sample),
        ],
        FOOTER,
    )


def verdict_line(score: Score, faults: Sequence[str]) -> str:
    """The outcome, then what was not kept."""
    if faults:
        return f"Missed: {'; '.join(faults)}. ({wording.located_line(score)})"
    return f"Good: {wording.located_line(score)}."


def key_figures(result: GridResult, score: Score) -> Markup:
    """The numbers one looks for first."""
    speed = result.audio_s / result.wall_s if result.wall_s else 0.0
    verified, published = result.records_verified, result.records_published
    whole = f"all {published}" if verified == published else f"{verified} / {published}"
    return cards(
        [
            (f"{score.rounds_located} / {score.rounds_fired}", "rounds located, of those fired"),
            (wording.metres(score.median_error_m), "median error"),
            (wording.metres(score.p90_error_m), "90 % are closer than"),
            (f"{score.false_incidents} / {score.incidents}", "false, of located incidents"),
            (whole, "published records verified"),
            (f"{speed:.0f}x", f"real time: {result.audio_s:.0f} s heard in {result.wall_s:.0f} s"),
        ]
    )


def misses_section(score: Score) -> list[Markup]:
    """What was not located, and why; nothing if all was."""
    misses = wording.misses(score)
    if not misses:
        return []
    told = ", ".join(f"{cause}: {count}" for cause, count in wording.causes(score))
    return [
        heading("What was not located, and why"),
        paragraph(f"{wording.count(len(misses), 'round')}. {told.capitalize()}."),
        table(("round", "cause", "detail"), misses),
    ]


def incidents_section(score: Score) -> list[Markup]:
    """Located incidents where nothing was fired; nothing if there are none."""
    if not score.false:
        return []
    rows = [
        (one.cell, wording.clock_time(one.utc_ns), wording.place(one.enu_m), one.reason)
        for one in score.false
    ]
    return [
        heading("False incidents"),
        paragraph("Located, but nothing was fired within 1 s and 50 m."),
        table(("cell", "UTC", "E, N (m)", "what the locator says"), rows),
    ]


def sample_section(sample: Mapping[str, Any] | None) -> list[Markup]:
    """One record as it was signed; nothing without a sample."""
    if sample is None:
        return []
    return [
        heading("What one record looks like"),
        paragraph(
            "The signed body of one impulse, as it came out of a verified envelope. Times since "
            "1970 are texts, because nanoseconds do not fit a double; prev holds the digest of "
            "the record before, so that nothing can be removed unseen."
        ),
        preformatted(json.dumps(sample, indent=2)),
    ]


def _lead(run: ScenarioRun) -> str:
    scenario = run.scenario
    return (
        f"{len(scenario.nodes)} nodes at {scenario.site}/{scenario.cell}, "
        f"{scenario.duration_s:g} s from {rfc3339(scenario.utc_ns(0.0))[:19]}Z, "
        f"{scenario.air.temperature_c:g} °C, wind {scenario.air.wind_mps:g} m/s. Seed "
        f"{scenario.seed}, {run.mode} mode, broker {run.result.broker}."
    )


def _pictures(run: ScenarioRun) -> list[Markup]:
    stations, score = run.result.stations, run.score
    walls = [Wall(one.start_m, one.end_m, one.reflection) for one in run.scenario.walls]
    title = f"Map of {run.scenario.name}"
    rounds = [row.located for row in score.rows if row.located is not None]
    names = {source: station.node for source, station in stations.items()}
    about_map = "Nodes, walls, what was fired and where it was located. North is up."
    about_errors = (
        "The same located rounds as seen from the true place (+), at a larger scale, each with "
        "its 2-sigma ellipse: about 86 % of the ellipses should cover the cross."
    )
    about_residuals = (
        "How early or late each node's arrivals came for the places found. A node whose clock or "
        "position is wrong stands out to one side."
    )
    target = error_target(score.rows, title="Located rounds as seen from the truth")
    strips = residual_strips(rounds, names, title="Timing residuals of each node")
    parts = [figure(scene_map(stations.values(), walls, score, title=title), about_map)]
    if rounds:
        close = [figure(target, about_errors), figure(strips, about_residuals)]
        parts += [heading("How close"), side_by_side(close)]
    return parts


def _rounds(score: Score) -> Markup:
    return table(
        wording.ROUND_COLUMNS,
        [wording.round_cells(row) for row in score.rows],
        numbers=frozenset({1, 2, 3, 4, 5}),
        misses=frozenset(at for at, row in enumerate(score.rows) if row.located is None),
    )
