"""What stands in the place of a record's data that this version does not understand.

A node may be newer than its centre, and an export newer than the court's software. Such a record is
signed, numbered and linked like any other, so it is kept and crossed; `reading` finds out.
"""

from agent.core.records.fields import Frozen


class Foreign(Frozen, frozen=True, kw_only=True, tag_field="kind", tag=""):
    """Said by other software: `word` is the kind that its type names. No node ever signs one."""

    word: str
