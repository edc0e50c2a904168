"""The durable line: numbered, linked and signed records in one SQLite file.

`store` is the outbox, `database` its file and schema, `room` the disk space that it holds.
"""

from agent.adapters.outbox.database import open_database, step_down
from agent.adapters.outbox.store import SqliteOutbox

__all__ = ["SqliteOutbox", "open_database", "step_down"]
