"""`earshot-sim corpus`: the node's hearing on folders of labelled clips."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

import agent
from agent.core.hearing.classification import shipped_model
from simulator.cli.screen import check_outputs, printed, write, write_json
from simulator.trials.corpus import manifest
from simulator.trials.corpus.figures import figures
from simulator.trials.corpus.folds import transfer_judge, unseen_judge
from simulator.trials.corpus.hidden import Hidden, hidden_shots
from simulator.trials.corpus.listening import Heard, judged_anew, listen
from simulator.trials.corpus.manifest import Clip, CorpusError
from simulator.trials.corpus.microphones import CHAINS, plainly, through
from simulator.trials.corpus.rapidfire import rapid_fire
from simulator.trials.corpus.report import (
    CLASS_COLUMNS,
    HEADLINES,
    class_rows,
    corpus_report,
    shown,
)

_TELL_EVERY_CLIPS = 25
_HIDDEN_COLUMNS = (
    "level",
    "shots",
    "bursts",
    "candidates",
    "told",
    "bursts told",
    "rounds told",
)


def command(arguments: argparse.Namespace) -> int:
    """Print the tables; the figures are for the reader, so the exit code is 0."""
    check_outputs(arguments.json, arguments.report)
    folders = {one: manifest.load(one) for one in dict.fromkeys(arguments.directories)}
    if len({one.name for one in folders}) < len(folders):
        names = ", ".join(map(str, folders))
        raise CorpusError(f"{names}: figures go by the folder's name; give each another one")
    about = {
        "software": agent.__version__,
        "model_sha256": shipped_model().sha256,
        "seed": arguments.seed,
    }
    if arguments.busy:
        return _hide(folders, arguments, about)
    told, pages = {}, []
    for directory, clips in folders.items():
        listened = list(_listened(clips, arguments))
        told[directory.name] = _figures(clips, listened, arguments)
        if len(folders) > 1:
            printed(f"\n{directory}")
        _print(told[directory.name])
        pages.append((about | told[directory.name], listened))
    if len(folders) > 1:
        _print_ranking(told)
    alone = len(folders) == 1
    if arguments.json:
        write_json(
            arguments.json, about | (next(iter(told.values())) if alone else {"folders": told})
        )
    if arguments.report:
        for (directory, _), page in zip(folders.items(), pages, strict=True):
            write(_page(arguments.report, directory, alone=alone), corpus_report(*page))
    return 0


def _hide(
    folders: dict[Path, list[Clip]], arguments: argparse.Namespace, about: dict[str, Any]
) -> int:
    """Shots of all folders, hidden in a busy street of each class that was asked for."""
    clips = [one for folder in folders.values() for one in folder]
    shots = [one for one in clips if one.is_shot]
    kinds = {one.kind for one in clips if not one.is_shot}
    if strange := sorted(set(arguments.busy) - kinds):
        raise CorpusError(
            f"{', '.join(strange)}: no such class; there are {', '.join(sorted(kinds))}"
        )
    if not shots:
        raise CorpusError("none of these folders has a shot to hide in a street")
    told = {}
    for kind in sorted(arguments.busy):
        of_kind = [one for one in clips if one.kind == kind]
        busy, rows = hidden_shots(kind, of_kind, shots, arguments.seed, unseen_judge)
        printed(
            f"\n{kind}, {len(of_kind)} clips: {busy.candidates_an_hour:.0f} candidates an hour, "
            f"{busy.told[0]} told in the first, {busy.told[1]} in the second"
        )
        printed(_hidden(rows))
        told[kind] = asdict(busy) | {"rules": len(busy.rules), "rows": [asdict(r) for r in rows]}
    if arguments.json:
        write_json(arguments.json, about | {"busy": told})
    return 0


def _figures(
    clips: Sequence[Clip], listened: Sequence[tuple[Heard, ...]], arguments: argparse.Namespace
) -> dict[str, Any]:
    """By models that had not seen each clip; then by one without the folder, and by microphone."""
    fired = list(rapid_fire(clips, arguments.seed, arguments.embeddings, unseen_judge))
    result = figures(listened, fired)
    result["transfer"] = None
    if judge_of := transfer_judge(clips):
        anew = [tuple(judged_anew(one, judge_of) for one in group) for group in listened]
        fired = [(ms, judged_anew(one, judge_of)) for ms, one in fired]
        result["transfer"] = figures(anew, fired)
    if arguments.microphones:
        result["microphones"] = {
            name: figures(list(_listened(clips, arguments, name))) for name in CHAINS
        }
    return result


def _listened(
    clips: Sequence[Clip],
    arguments: argparse.Namespace,
    microphone: str | None = None,
) -> Iterator[tuple[Heard, ...]]:
    digitised = partial(through, microphone, seed=arguments.seed) if microphone else plainly
    heard = listen(clips, arguments.seed, arguments.embeddings, unseen_judge, digitised)
    word = f" through {microphone}" if microphone else ""
    for number, one in enumerate(heard, start=1):
        if number % _TELL_EVERY_CLIPS == 0 or number == len(clips):
            print(f"{number}/{len(clips)} clips heard{word}", file=sys.stderr, flush=True)
        yield one


def _page(out: Path, directory: Path, *, alone: bool) -> Path:
    """One page for each folder, named after it where there are several."""
    return out if alone else out.with_name(f"{out.stem}-{directory.name}{out.suffix}")


def _print(result: dict[str, Any]) -> None:
    printed(_classes(result["per_class"]))
    transfer = result["transfer"]
    if transfer is None:
        printed("no model was kept that learned from none of this folder: no transfer")
    for name, meaning in HEADLINES.items():
        apart = f" {shown(transfer[name]):>9}" if transfer else ""
        printed(f"{name:28} {shown(result[name]):>9}{apart}  {meaning}")
    for name, one in result.get("microphones", {}).items():
        loss = None if result["auc"] is None else round(result["auc"] - one["auc"], 4)
        printed(
            f"microphone {name:17} auc {shown(one['auc']):>7}, loss {shown(loss):>7}, "
            f"shots {shown(one['shot_recall'])}, "
            f"out of range {shown(one['out_of_range'])} of the triggers"
        )


def _print_ranking(told: dict[str, dict[str, Any]]) -> None:
    printed("\nranking, and its one-sided 90 % bound:")
    for name, result in told.items():
        for word, one in (("by folds", result), ("by transfer", result["transfer"])):
            if one:
                printed(f"{name:16} {word:12} {shown(one['auc']):>7} {shown(one['auc_lower_90'])}")


def _hidden(rows: Sequence[Hidden]) -> Table:
    table = Table(*_HIDDEN_COLUMNS, box=None, pad_edge=False, header_style="bold")
    for one in rows:
        shares = (one.candidates, one.told, one.bursts_told, one.rounds_told)
        counts = (f"{one.level_db:+.0f} dB", str(one.shots), str(one.bursts))
        table.add_row(*counts, *("-" if one is None else f"{one:.2f}" for one in shares))
    return table


def _classes(per_class: dict[str, dict[str, Any]]) -> Table:
    table = Table("class", box=None, pad_edge=False, header_style="bold")
    for column in CLASS_COLUMNS:
        table.add_column(column.replace("_", " "), justify="right")
    for row in class_rows(per_class):
        table.add_row(*row)
    return table
