"""The tables of the locator's store, and the steps that lead to them from older ones."""

from simulator.centre.locator.ledger import ANY_PREV

_VERSION_1 = """
CREATE TABLE chain (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, chain TEXT NOT NULL,
    upto_seq INTEGER NOT NULL, head TEXT NOT NULL, UNIQUE (source, chain)
) STRICT;
CREATE TABLE event (
    chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
    digest TEXT NOT NULL, envelope BLOB NOT NULL, PRIMARY KEY (chain_id, seq)
) STRICT
"""
_VERSION_2 = f"""
ALTER TABLE event ADD COLUMN prev TEXT NOT NULL DEFAULT '{ANY_PREV}';
CREATE TABLE shed (
    chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
    digest TEXT NOT NULL, PRIMARY KEY (chain_id, seq)
) STRICT
"""
_VERSION_3 = """
ALTER TABLE chain ADD COLUMN began_with TEXT;
CREATE TABLE handover (
    chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
    PRIMARY KEY (chain_id, seq)
) STRICT
"""
_VERSION_4 = """
CREATE TABLE heard (
    place TEXT NOT NULL, toa_ns INTEGER NOT NULL, chain_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (place, toa_ns, chain_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE felt (
    place TEXT NOT NULL, utc_ns INTEGER NOT NULL, chain_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    celsius REAL NOT NULL, PRIMARY KEY (place, utc_ns, chain_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE told (upto INTEGER NOT NULL) STRICT;
INSERT INTO told VALUES (-1)
"""
# Tables that older software leaves alone: they stay when a store goes down, and are found again.
_VERSION_5 = """
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT NOT NULL,
    topic TEXT NOT NULL, message BLOB NOT NULL, size INTEGER NOT NULL, times INTEGER NOT NULL,
    first_at TEXT NOT NULL, last_at TEXT NOT NULL, UNIQUE (source, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS unread (
    chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
    PRIMARY KEY (chain_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reader (software TEXT NOT NULL) STRICT
"""
# Likewise; made at every start, for a store of this version may be older than they are.
BESIDE = (
    """CREATE TABLE IF NOT EXISTS arrived (
        chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
        utc_ns INTEGER, bound_ns INTEGER, whose TEXT NOT NULL, add_ns INTEGER,
        PRIMARY KEY (chain_id, seq)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS corrected (
        place TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
        chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
        PRIMARY KEY (place, first_ns, chain_id, seq)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS listed (
        place TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
        chain_id INTEGER NOT NULL REFERENCES chain (id), seq INTEGER NOT NULL,
        PRIMARY KEY (place, first_ns, chain_id, seq)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS heard_of ON heard (chain_id, toa_ns)",
)
STEPS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)
DOWNS = {5: "SELECT 1"}
