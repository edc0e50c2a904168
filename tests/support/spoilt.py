"""What a power cut or a worn card makes of a store, or of the folder that it was in."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zero_the_head(path: Path) -> None:
    overwrite(path, 0, bytes(4096))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    path.write_text("shopping list " * 9_000)


def scribble_over_pages(path: Path) -> None:
    overwrite(path, 4096, b"\xa5" * (path.stat().st_size - 4096))


def take_away(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    (path.parent / f"{path.name}-reserve").write_bytes(bytes(4096))


def lose_the_tail(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM record WHERE id % 281474976710656 = (SELECT seq FROM node)")


def lose_the_owner(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM node")


WAYS: list[Callable[[Path], None]] = [
    zero,
    zero_the_head,
    halve,
    scribble,
    scribble_over_pages,
    take_away,
    lose_the_tail,
    lose_the_owner,
]
