"""What goes when a store is full, and what never does: one list for all kinds of record.

A plain function over a connection with an open transaction; it raises sqlite3.Error.
"""

import sqlite3

from agent.adapters.outbox.rows import Row
from agent.adapters.outbox.schema import ALERTS, STATE, STATISTICS, place

PASSING = ("gap", "timebase")  # kinds of which the next one says how things are by then
LASTING = ("shed", "rollback", "damaged", "config", "key")  # the chain is not understood without


def worth_less(db: sqlite3.Connection, priority: int, limit: int) -> list[Row]:
    """Up to `limit` of the oldest records that go to make room for one of `priority`.

    Statistics, then what the next of its kind makes stale, for whatever it is; all other state
    for an alert. Neither alerts go, nor what the chain is not understood without.
    """
    query = "SELECT id, digest FROM record WHERE id >= ? AND id < ? AND {} ORDER BY id LIMIT ?"
    rows: list[Row] = []
    state = place(STATE, 0), place(STATISTICS, 0)
    is_passing = f"kind IN ({', '.join('?' * len(PASSING))})"
    is_less = f"kind NOT IN ({', '.join('?' * len(PASSING + LASTING))})"
    for for_all, bounds, condition, kinds in (
        (True, (state[1], place(STATISTICS + 1, 0)), "true", ()),
        (True, state, is_passing, PASSING),
        (False, state, is_less, PASSING + LASTING),
    ):
        if for_all or priority == ALERTS:
            left = limit - len(rows)
            rows += db.execute(query.format(condition), (*bounds, *kinds, left)).fetchall()
    return rows
