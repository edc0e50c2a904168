"""The dead letters of a node: records that can never be verified or said again, with the reason.

How they come there is `store`'s; here a store whose daemon is stopped is looked into.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.adapters.outbox.database import open_database
from agent.adapters.outbox.schema import STEPS
from agent.errors import StoreError


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """One record as it was kept; `digest` is what its chain is linked by."""

    chain: str
    seq: int
    kind: str
    digest: str
    reason: str
    envelope: bytes


def dead_in(path: Path) -> list[DeadRecord]:
    """Those in the store at `path`, by chain and number. Raises StoreError."""
    if not path.is_file():
        raise StoreError(f"{path}: no such file")
    db = open_database(path, STEPS)
    try:
        query = "SELECT chain, seq, kind, digest, reason, envelope FROM dead ORDER BY chain, seq"
        return [DeadRecord(*row) for row in db.execute(query)]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    finally:
        db.close()
