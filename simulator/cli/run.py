"""`earshot-sim run`: a scenario from its file to the table, the verdict and the report."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from rich.table import Table

from simulator.cli.kept import Kept
from simulator.cli.screen import check_outputs, printed, shown_progress, write, write_json
from simulator.grid import grid, scenario, truth
from simulator.grid.grid import GridResult, NodePlan
from simulator.grid.scenario import Scenario
from simulator.report import wording
from simulator.report.incident_report import ScenarioRun, scenario_report, verdict_line
from simulator.report.limits import broken_promises, missed_limits
from simulator.report.score import Evidence, Score, TruthRound, rounded, score

_POSITION_SIGMA_M = 0.1


def command(arguments: argparse.Namespace) -> int:
    """Exit code 1 if a limit of the scenario, or the records' integrity, is missed."""
    wanted = scenario.load(arguments.scenario)
    check_outputs(arguments.json, arguments.report)
    is_virtual = arguments.mode == "virtual"
    total_audio_s = wanted.duration_s * len(wanted.nodes)
    with Kept(wanted.seed) as kept, shown_progress(total_audio_s) as progress:
        result = grid.run(
            list(plans(wanted)),
            seed=wanted.seed,
            mode=arguments.mode,
            broker=None if is_virtual else arguments.broker,
            directory=kept.directory,
            progress=progress,
        )
        sample = kept.sample(result)
    outcome = scored(wanted, result)
    faults = [*broken_promises(result), *missed_limits(wanted.limits, outcome)]
    run = ScenarioRun(wanted, arguments.mode, result, outcome, faults, sample)
    printed(rounds_table(outcome))
    if arguments.json:
        write_json(arguments.json, as_json(run))
    if arguments.report:
        write(arguments.report, scenario_report(run))
    printed(verdict_line(outcome, faults))
    return 1 if faults else 0


def plans(wanted: Scenario) -> Iterator[NodePlan]:
    """One plan for each node of the scenario."""
    for node in wanted.nodes:
        yield NodePlan(
            site=wanted.site,
            cell=wanted.cell,
            node=node.name,
            enu_m=node.enu_m,
            sigma_m=_POSITION_SIGMA_M,
            hardware=partial(wanted.hardware, node),
        )


def scored(wanted: Scenario, result: GridResult) -> Score:
    """What was located, held against what was fired."""
    evidence = Evidence(result.arrivals, result.stations, {wanted.cell: wanted.air.temperature_c})
    return score(list(_fired(wanted)), result.incidents, evidence)


def rounds_table(outcome: Score) -> Table:
    """One line for each fired round."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, name in enumerate(wording.ROUND_COLUMNS):
        table.add_column(name, justify="left" if column == 0 else "right", no_wrap=True)
    for row in outcome.rows:
        table.add_row(*wording.round_cells(row), style="red" if row.located is None else None)
    return table


def as_json(run: ScenarioRun) -> dict[str, Any]:
    """The figures of one run; counts, unless the name says otherwise."""
    result = run.result
    return {
        "scenario": run.scenario.name,
        "seed": run.scenario.seed,
        "mode": run.mode,
        "broker": result.broker,
        "missed": list(run.faults),
        **run.score.summary(),
        "rounds": _rounds_json(run.score),
        "nodes": len(result.stations),
        "records_published": result.records_published,
        "records_verified": result.records_verified,
        "chains": result.chains,
        "audio_s": round(result.audio_s, 1),
        "wall_s": round(result.wall_s, 1),
        "cpu_s": round(result.cpu_s, 1),
    }


def _rounds_json(outcome: Score) -> Sequence[dict[str, Any]]:
    return [
        {
            "round": row.truth.label,
            "truth_m": row.truth.enu_m,
            "located_m": row.located and [rounded(value) for value in row.located.enu_m],
            "error_m": rounded(row.error_m),
            "nodes_heard": row.nodes_heard,
            "sigma1_m": rounded(row.located.sigma1_m) if row.located else None,
            "not_located": row.miss and f"{row.miss.cause}: {row.miss.detail}",
        }
        for row in outcome.rows
    ]


def _fired(wanted: Scenario) -> Iterator[TruthRound]:
    """Shot 5 of the file, fired as a burst, is 5.1, 5.2 and so on."""
    for one in truth.rounds(wanted):
        is_burst = wanted.shots[one.shot].rounds > 1
        number = f"{one.shot + 1}.{one.number + 1}" if is_burst else f"{one.shot + 1}"
        label = f"{number:<4} {wording.clock_time(one.utc_ns)}"
        yield TruthRound(wanted.cell, one.utc_ns, one.enu_m, label)
