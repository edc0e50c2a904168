"""`earshot-sim clocks`: the node's timebase on trial in virtual time.

Exit 1 if a limit of any scenario was missed; the shares of seconds are held to their promise
when at least 100 seeds are pooled.
"""

import argparse
import sys

import msgspec
from rich.table import Table

import agent
from simulator.cli.screen import check_outputs, printed, write_json
from simulator.trials.clocks import scenario as scenarios
from simulator.trials.clocks import trial


def command(arguments: argparse.Namespace) -> int:
    """Run the scenarios that were named, print a table, and each missed limit in a line."""
    check_outputs(arguments.json)
    chosen = [scenarios.load(name) for name in arguments.names or scenarios.names()]
    if not arguments.names:
        chosen = [one for one in chosen if not one.long]
    outcomes = []
    for one in chosen:
        print(f"{one.name}: {one.about}", file=sys.stderr, flush=True)
        seeds = max(1, arguments.seeds)
        outcomes.append(trial.judge(one, [trial.run(one, seed) for seed in range(seeds)]))
    printed(_table(outcomes))
    missed = [f"{one.name}: {fault}" for one in outcomes for fault in one.faults]
    for line in missed:
        print(line)
    if arguments.json:
        figures = {one.name: msgspec.to_builtins(one) for one in outcomes}
        write_json(arguments.json, {"software": agent.__version__, "scenarios": figures})
    return 1 if missed else 0


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
