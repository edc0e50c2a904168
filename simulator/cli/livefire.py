"""`earshot-sim livefire`: the public live-fire dataset through virtual nodes and a real broker."""

import argparse

from rich.table import Table

from simulator.cli.kept import Kept
from simulator.cli.screen import (
    OutputError,
    check_outputs,
    printed,
    shown_progress,
    write,
    write_json,
)
from simulator.grid import grid
from simulator.grid.grid import GridResult
from simulator.report import wording
from simulator.report.limits import broken_promises
from simulator.report.score import Evidence, score
from simulator.trials.livefire import dataset, pulses, replay, truth
from simulator.trials.livefire.dataset import RATE_HZ, Test
from simulator.trials.livefire.neutralise import LEAD_IN_S
from simulator.trials.livefire.outcome import (
    LiveFireRun,
    as_json,
    by_position,
    exact_round_count_tests,
    without_place,
)
from simulator.trials.livefire.report import live_fire_report
from simulator.trials.livefire.sites import sites_of, valid_name


def command(arguments: argparse.Namespace) -> int:
    """Exit code 1 if records are lost or do not verify; the score itself is for the reader."""
    check_outputs(arguments.json, arguments.report)
    if arguments.pulses:
        return _pulses(arguments)
    run = _replayed(arguments)
    printed(_table(run))
    for line in _outcome_lines(run):
        printed(line)
    if arguments.json:
        write_json(arguments.json, as_json(run))
    if arguments.report:
        write(arguments.report, live_fire_report(run))
    faults = broken_promises(run.result)
    for fault in faults:
        printed(f"The records are not whole: {fault}")
    return 1 if faults else 0


def _pulses(arguments: argparse.Namespace) -> int:
    """The ears alone; there is no page of that."""
    if arguments.report or arguments.blank:
        raise OutputError("--pulses goes with neither --report nor --blank: leave one of them out")
    tests = dataset.load(arguments.directory, arguments.positions)
    every, published = pulses.listen(tests, arguments.seed)
    agreement = pulses.compare(tests, every)
    told = pulses.compare(tests, published)
    for line in agreement.lines():
        printed(line)
    printed(
        f"Published by weights that had not seen the firing position: {told.matched:.1%} within "
        f"5 ms, {told.heard:.1%} within 30 ms."
    )
    if arguments.json:
        figures = {
            **agreement.figures(),
            "published_within_5ms": round(told.matched, 4),
            "published_within_30ms": round(told.heard, 4),
        }
        write_json(arguments.json, figures)
    return 0


def _replayed(arguments: argparse.Namespace) -> LiveFireRun:
    tests = dataset.load(arguments.directory, arguments.positions)
    sites = sites_of(tests)
    with Kept(arguments.seed) as kept, shown_progress(_audio_s(tests)) as progress:
        result = grid.run(
            list(replay.plans(tests, sites, arguments.seed, blank=arguments.blank)),
            seed=arguments.seed,
            mode=arguments.mode,
            broker=None if arguments.mode == "virtual" else arguments.broker,
            directory=kept.directory,
            progress=progress,
        )
        sample = kept.sample(result)
    outcome = score(truth.rounds(tests, sites), result.incidents, _evidence(tests, result))
    return LiveFireRun(tests, sites, outcome, result, arguments.seed, arguments.blank, sample)


def _audio_s(tests: list[Test]) -> float:
    return sum(
        LEAD_IN_S + len(recording.samples) / RATE_HZ
        for test in tests
        for recording in test.recordings
    )


def _evidence(tests: list[Test], result: GridResult) -> Evidence:
    air_temperature_c = {valid_name(test.name): test.temperature_c for test in tests}
    recorded = truth.recorded(tests)
    return Evidence(result.arrivals, result.stations, air_temperature_c, recorded)


def _table(run: LiveFireRun) -> Table:
    columns = ("position", "fired", "located", "rms", "sigma 1", "sigma 2")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, name in enumerate(columns):
        table.add_column(name, justify="right" if column else "left")
    for position, one in by_position(run).items():
        spread = (one.rms_m, one.sigma1_m, one.sigma2_m)
        table.add_row(position, str(one.fired), str(one.located), *map(wording.metres, spread))
    return table


def _outcome_lines(run: LiveFireRun) -> list[str]:
    near, fired = run.score.within(25.0), run.score.rounds_fired
    result, not_located = run.result, wording.causes(run.score)
    told, false = without_place(run)
    why = ", ".join(f"{cause}: {count}" for cause, count in not_located) or "none"
    return [
        f"{wording.located_line(run.score)}.",
        f"Within 25 m of the survey: {near} of {fired} ({wording.share(near, fired)}).",
        f"Rounds counted rightly in {exact_round_count_tests(run)} of {len(run.tests)} tests.",
        f"Not located: {why}.",
        f"Told without a place: {wording.count(told, 'incident')}, {false} when nothing was fired.",
        f"{result.records_verified} of {result.records_published} records verified; "
        f"{result.audio_s:.0f} s of sound heard in {result.wall_s:.0f} s.",
    ]
