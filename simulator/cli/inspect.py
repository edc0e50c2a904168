"""`earshot-sim inspect`: one recording as a node hears it, as a page or a picture."""

import argparse
from pathlib import Path

from rich.table import Table

import agent
from simulator.cli.screen import OutputError, check_outputs, printed, write
from simulator.report.plots import drawing
from simulator.trials.inspection import (
    COLUMNS,
    Inspection,
    draw_overview,
    inspect,
    inspection_page,
    rows,
)
from simulator.trials.reasons import effects

_PICTURES = (".png", ".svg")


def command(arguments: argparse.Namespace) -> int:
    """Print every onset, and write the page or picture."""
    out = arguments.out or Path(f"{arguments.clip.stem}.html")
    if out.suffix not in (".html", *_PICTURES):
        raise OutputError(f"{out}: end its name in .html for a page, or .png for a picture")
    check_outputs(out)
    seen = inspect(arguments.clip)
    printed(_table(seen))
    for at_s, onset in seen.onsets:
        speaks_for, against = effects(onset.features, most=2)
        for word, told in (("for", speaks_for), ("against", against)):
            for one in told:
                printed(f"{at_s:.3f} s, {word} a shot: {one.told()}")
    printed(f"{len(seen.onsets)} onsets, {seen.published} published")
    if out.suffix in _PICTURES:
        _picture(out, seen)
    else:
        write(out, inspection_page(seen, agent.__version__))
    return 0


def _table(seen: Inspection) -> Table:
    table = Table(*COLUMNS[:7], box=None, pad_edge=False, header_style="bold")
    for row in rows(seen):
        table.add_row(*row[:7])
    return table


def _picture(out: Path, seen: Inspection) -> None:
    with drawing(9.6, 5.0) as drawn:
        draw_overview(drawn, seen)
        try:
            drawn.savefig(out, dpi=120)
        except OSError as error:
            raise OutputError(f"{out}: cannot be written: {error.strerror}") from None
