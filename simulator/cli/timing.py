"""`earshot-sim timing`: the onset picker against the Cramer-Rao bound and its own word.

Exit code 0 whatever comes out: the figures are for the reader.
"""

import argparse
import sys

from rich.table import Table

import agent
from simulator.cli.screen import check_outputs, printed, write, write_json
from simulator.trials.timing import trial
from simulator.trials.timing.report import (
    CELL_COLUMNS,
    ROW_COLUMNS,
    cell_rows,
    mismatch_rows,
    report,
)


def command(arguments: argparse.Namespace) -> int:
    """Run the trial, print its two tables and the headline figures."""
    check_outputs(arguments.json, arguments.report)
    outcome = trial.run(
        arguments.pulses, arguments.seed, lambda what: print(what, file=sys.stderr, flush=True)
    )
    printed(_table(CELL_COLUMNS, cell_rows(outcome)))
    printed("")
    printed(_table(ROW_COLUMNS, mismatch_rows(outcome)))
    printed("")
    figures = {"software": agent.__version__, **outcome.figures()}
    for name, value in figures.items():
        if name not in ("cells", "mismatch", "software"):
            printed(f"{name}: {value}")
    if arguments.json:
        write_json(arguments.json, figures)
    if arguments.report:
        write(arguments.report, report(outcome))
    return 0


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    for cells in rows:
        table.add_row(*cells)
    return table
