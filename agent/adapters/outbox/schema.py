"""The tables of the outbox, version by version.

A row of `record` is one that waits for its receipt. Its id is `place(priority, seq)`, so that
the order of the file is the order of the queue, and giving up statistics frees whole pages. A row
of `settled` is an unbroken range of records whose bytes went before those of an earlier one: the
digest of its last is kept until a receipt covers all before it, so that the `head` of a receipt
that ends there can be checked. There are never more ranges than records that wait. `room` is
empty: what once filled it makes the file's free pages. A row of `dead` is a record that no locator
can ever verify: it is kept, but no longer sent; `is_told` once a `Shed` record bridges it.
A row of `damage` is a store before this one, until the chain tells of it.
"""

PRIORITIES = (0, 1, 2)
ALERTS, STATE, STATISTICS = PRIORITIES
_ZONE = 1 << 48  # in the text of version 2 too

_VERSION_1 = """
CREATE TABLE node (
    source TEXT NOT NULL, keyid TEXT NOT NULL, running INTEGER NOT NULL,
    chain TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL,
    receipted_seq INTEGER NOT NULL, receipted_digest TEXT NOT NULL
) STRICT;
CREATE TABLE record (
    seq INTEGER PRIMARY KEY, digest TEXT NOT NULL,
    kind TEXT NOT NULL, priority INTEGER NOT NULL, envelope BLOB
) STRICT;
CREATE INDEX queue ON record (priority, seq) WHERE envelope IS NOT NULL
"""
_VERSION_2 = """
ALTER TABLE node ADD COLUMN rolled_back TEXT;
CREATE TABLE settled (seq INTEGER PRIMARY KEY, digest TEXT NOT NULL) STRICT;
INSERT INTO settled SELECT seq, digest FROM record WHERE envelope IS NULL;
ALTER TABLE record RENAME TO old_record;
CREATE TABLE record (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL, kind TEXT NOT NULL, envelope BLOB NOT NULL
) STRICT;
INSERT INTO record SELECT priority * 281474976710656 + seq, digest, kind, envelope
    FROM old_record WHERE envelope IS NOT NULL ORDER BY priority, seq;
DROP TABLE old_record;
CREATE TABLE room (filler BLOB) STRICT
"""
_VERSION_3 = """
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER NOT NULL, chain TEXT NOT NULL, place INTEGER NOT NULL, digest TEXT NOT NULL,
    kind TEXT NOT NULL, envelope BLOB NOT NULL, reason TEXT NOT NULL, is_told INTEGER NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT;
ALTER TABLE settled RENAME TO settled_one;
CREATE TABLE settled (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, digest TEXT NOT NULL
) STRICT;
INSERT INTO settled SELECT run.first, run.last, settled_one.digest FROM (
    SELECT min(seq) AS first, max(seq) AS last FROM (
        SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island FROM settled_one
    ) GROUP BY island
) AS run JOIN settled_one ON settled_one.seq = run.last;
DROP TABLE settled_one;
CREATE TABLE IF NOT EXISTS damage (reason TEXT NOT NULL, set_aside TEXT NOT NULL) STRICT
"""
# What nothing bridges yet is sent again by older software: its place in the chain must not be lost.
_DOWN_FROM_3 = """
ALTER TABLE settled RENAME TO settled_range;
CREATE TABLE settled (seq INTEGER PRIMARY KEY, digest TEXT NOT NULL) STRICT;
INSERT INTO settled SELECT last, digest FROM settled_range;
DROP TABLE settled_range;
DELETE FROM settled WHERE seq IN (
    SELECT seq FROM dead WHERE is_told = 0 AND chain = (SELECT chain FROM node));
INSERT INTO record SELECT place, digest, kind, envelope FROM dead
    WHERE is_told = 0 AND chain = (SELECT chain FROM node);
DELETE FROM dead WHERE is_told = 0 AND chain = (SELECT chain FROM node)
"""
STEPS = (_VERSION_1, _VERSION_2, _VERSION_3)
DOWNS = {3: _DOWN_FROM_3}


def place(priority: int, seq: int) -> int:
    """The id of a record; `seq` is below 2^48."""
    return priority * _ZONE + seq


def priority_and_seq(row_id: int) -> tuple[int, int]:
    """What `place` was given."""
    return divmod(row_id, _ZONE)
