"""What commands show: tables on stdout, progress on stderr, files where they were asked for.

A progress bar appears on a terminal only; elsewhere a plain line now and then.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from agent.errors import EarshotError
from simulator.grid.grid import Progress

_WIDTH_OF_A_FILE = 120
_LINE_EVERY_S = 5.0


class OutputError(EarshotError):
    """A file that was asked for cannot be written."""


def printed(what: RenderableType) -> None:
    """Print to stdout, as wide as the terminal."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(what, soft_wrap=isinstance(what, str))


@contextmanager
def shown_progress(total_audio_s: float) -> Iterator[Callable[[Progress], None]]:
    """Something to hand progress to, on stderr, until the context ends."""
    if not sys.stderr.isatty():
        yield _plain_lines(total_audio_s)
        return
    console = Console(file=sys.stderr, highlight=False)
    columns = (TextColumn("[progress.percentage]{task.percentage:>3.0f} %"), BarColumn(20))
    text = TextColumn("{task.description}", markup=False)
    with Bars(*columns, text, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=total_audio_s)
        yield lambda now: bars.update(task, completed=now.audio_s, description=_told(now))


def check_outputs(*paths: Path | None) -> None:
    """Raise OutputError now rather than after the run, where a path cannot be written."""
    for path in paths:
        if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
            fault = "is a folder" if path.is_dir() else f"no folder {path.resolve().parent}"
            raise OutputError(f"{path}: cannot be written: {fault}")


def write(path: Path, text: str) -> None:
    """Write a report. Raises OutputError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    print(f"wrote {path}", file=sys.stderr)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write figures as JSON. Raises OutputError."""
    write(path, json.dumps(content, indent=2) + "\n")


def _plain_lines(total_audio_s: float) -> Callable[[Progress], None]:
    next_s = 0.0

    def tell(now: Progress) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _LINE_EVERY_S
            percent = 100.0 * now.audio_s / total_audio_s
            print(f"{percent:.0f} %: {_told(now)}", file=sys.stderr, flush=True)

    return tell


def _told(now: Progress) -> str:
    return (
        f"{now.nodes_done}/{now.nodes} nodes done, {now.records} records "
        f"({now.backlog} waiting), {now.incidents} incidents"
    )
