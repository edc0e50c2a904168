"""`earshot-sim corpus`: the node's hearing on a folder of labelled clips."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

import agent
from agent.core.hearing.classification import shipped_model
from simulator.cli.screen import check_outputs, printed, write, write_json
from simulator.trials.corpus import manifest
from simulator.trials.corpus.figures import figures
from simulator.trials.corpus.folds import unseen_judge
from simulator.trials.corpus.listening import Heard, listen
from simulator.trials.corpus.manifest import Clip
from simulator.trials.corpus.rapidfire import rapid_fire
from simulator.trials.corpus.report import (
    CLASS_COLUMNS,
    HEADLINES,
    class_rows,
    corpus_report,
    shown,
)

_TELL_EVERY_CLIPS = 25


def command(arguments: argparse.Namespace) -> int:
    """Print the tables; the figures are for the reader, so the exit code is 0."""
    check_outputs(arguments.json, arguments.report)
    clips = manifest.load(arguments.directory)
    listened = list(_listened(clips, arguments))
    fired = list(rapid_fire(clips, arguments.seed, arguments.embeddings, unseen_judge))
    result = {
        "software": agent.__version__,
        "model_sha256": shipped_model().sha256,
        "seed": arguments.seed,
        **figures(listened, fired),
    }
    printed(_classes(result["per_class"]))
    for name, meaning in HEADLINES.items():
        printed(f"{name:28} {shown(result[name]):>9}  {meaning}")
    if arguments.json:
        write_json(arguments.json, result)
    if arguments.report:
        write(arguments.report, corpus_report(result, listened))
    return 0


def _listened(clips: Sequence[Clip], arguments: argparse.Namespace) -> Iterator[tuple[Heard, ...]]:
    heard = listen(clips, arguments.seed, arguments.embeddings, unseen_judge)
    for number, one in enumerate(heard, start=1):
        if number % _TELL_EVERY_CLIPS == 0 or number == len(clips):
            print(f"{number}/{len(clips)} clips heard", file=sys.stderr, flush=True)
        yield one


def _classes(per_class: dict[str, dict[str, Any]]) -> Table:
    table = Table("class", box=None, pad_edge=False, header_style="bold")
    for column in CLASS_COLUMNS:
        table.add_column(column.replace("_", " "), justify="right")
    for row in class_rows(per_class):
        table.add_row(*row)
    return table
