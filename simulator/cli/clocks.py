"""`earshot-sim clocks`: the node's timebase on trial in virtual time.

In scenarios its constants are declared to it; in worlds nature draws them anew for each seed and
tells nobody. Exit 1 if a limit of any was missed. A scenario's shares of seconds are held to their
promise when at least 100 seeds are pooled; a world's always are, and 50 seeds are what they say.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.table import Table

import agent
from simulator.cli.screen import check_outputs, printed, write_json
from simulator.grid.scenario import ScenarioError
from simulator.trials.clocks import nature, trial, verdict, witness
from simulator.trials.clocks import scenario as scenarios

Chosen = scenarios.ClockScenario | nature.ClockWorld


def command(arguments: argparse.Namespace) -> int:
    """Run what was named, print a table of scenarios and one of worlds, and each missed limit."""
    check_outputs(arguments.json)
    seeds = range(arguments.first_seed, arguments.first_seed + max(1, arguments.seeds))
    outcomes: list[trial.Outcome] = []
    verdicts: list[verdict.Verdict] = []
    for one in list(_chosen(arguments.names, all_worlds=arguments.worlds)):
        name = one.world if isinstance(one, nature.ClockWorld) else one.name
        print(f"{name}: {one.about}", file=sys.stderr, flush=True)
        if isinstance(one, nature.ClockWorld):
            verdicts.append(verdict.judge(one, [witness.run(one, seed) for seed in seeds]))
        else:
            outcomes.append(trial.judge(one, [trial.run(one, seed) for seed in seeds]))
    if outcomes:
        printed(_table(outcomes))
    if verdicts:
        printed(_table_of_worlds(verdicts))
    missed = [f"{one.name}: {fault}" for one in outcomes for fault in one.faults]
    missed += [f"{one.name}: {fault}" for one in verdicts for fault in one.faults]
    for line in missed:
        print(line)
    if arguments.json:
        figures = {"scenarios": _by_name(outcomes), "worlds": _by_name(verdicts)}
        write_json(arguments.json, {"software": agent.__version__, **figures})
    return 1 if missed else 0


def _chosen(names: list[str], *, all_worlds: bool) -> Iterator[Chosen]:
    """What was named; without names all quick scenarios, or all quick worlds."""
    if all_worlds or not names:
        every: list[Chosen] = (
            [nature.load(name) for name in nature.names()]
            if all_worlds
            else [scenarios.load(name) for name in scenarios.names()]
        )
        yield from (one for one in every if not one.long)
    for name in names:
        yield _load(name)


def _load(name: str) -> Chosen:
    """A file, or what is packaged under that name. Raises ScenarioError."""
    path = Path(name)
    if path.suffix == ".toml":
        table = scenarios.parsed(path)
        if nature.is_world(table):
            return nature.of_table(table, path.name)
        return scenarios.of_table(table, path.name)
    if name in scenarios.names():
        return scenarios.load(name)
    if name in nature.names():
        return nature.load(name)
    known = ", ".join([*scenarios.names(), *nature.names()])
    raise ScenarioError(f"{name}: no such clock scenario or world; known: {known}")


def _by_name(outcomes: list[trial.Outcome] | list[verdict.Verdict]) -> dict[str, object]:
    return {one.name: msgspec.to_builtins(one) for one in outcomes}


def _table(outcomes: list[trial.Outcome]) -> Table:
    right = ("RMS, us", "bias, us", "<=1 sigma", "<=2 sigma", ">3 sigma", "sigma/RMS", "locked")
    table = Table("scenario", box=None)
    for heading in right:
        table.add_column(heading, justify="right")
    for one in outcomes:
        table.add_row(
            one.name,
            f"{one.rms_us:.2f}",
            f"{one.bias_us:+.2f}",
            f"{one.within_1_sigma:.1%}",
            f"{one.within_2_sigma:.1%}",
            f"{one.beyond_3_sigma:.2%}",
            f"{one.median_sigma_us / one.rms_us:.2f}",
            f"{one.locked_share:.1%}",
        )
    return table


def _table_of_worlds(verdicts: list[verdict.Verdict]) -> Table:
    right = (
        "RMS, us", "<=1 sigma", "<=2 sigma", "draws >3", "sigma/RMS", "locked", "sure and wrong",
        "relocked",
    )  # fmt: skip
    table = Table("world", box=None)
    for heading in right:
        table.add_column(heading, justify="right")
    for one in verdicts:
        table.add_row(
            one.name,
            _told(one.rms_us, ".2f"),
            _told(one.within_1_sigma, ".1%"),
            _told(one.within_2_sigma, ".1%"),
            str(one.draws_beyond_3_sigma),
            _told(one.ratio, ".2f"),
            _told(one.locked_share, ".1%"),
            str(one.surely_wrong),
            f"{one.relocked[0]} of {one.relocked[1]}" if one.relocked[1] else "-",
        )
    return table


def _told(value: float | None, shape: str) -> str:
    return "-" if value is None else format(value, shape)
