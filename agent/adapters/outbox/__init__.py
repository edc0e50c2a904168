"""The durable line: numbered, linked and signed records in one SQLite file.

`store` is the outbox, `owned` its open file, `database` how that is opened, `schema` its tables,
`rows` what they mean, `writing` what is written to them, `room` the disk space that it holds.
"""

from agent.adapters.outbox.database import open_database, step_down
from agent.adapters.outbox.store import SqliteOutbox
from agent.adapters.outbox.writing import PreviousRun

__all__ = ["PreviousRun", "SqliteOutbox", "open_database", "step_down"]
