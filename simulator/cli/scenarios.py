"""`earshot-sim scenarios`: what is packaged, and what it holds."""

import argparse

from rich.table import Table

from simulator.cli.screen import printed
from simulator.grid.scenario import load, names
from simulator.grid.truth import rounds


def command(arguments: argparse.Namespace) -> int:
    """Print a table of the packaged scenarios."""
    table = Table("scenario", "nodes", "rounds", "seconds", "rate, Hz", box=None)
    for name in names():
        one = load(name)
        cells = (len(one.nodes), len(rounds(one)), f"{one.duration_s:g}", one.rate_hz)
        table.add_row(name, *map(str, cells))
    printed(table)
    return 0
