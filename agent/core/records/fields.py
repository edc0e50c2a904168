"""The vocabulary of records: the strict types that their fields are made of.

What the records mean is `kinds`, `store_records` and `remote_records`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

NodeId = Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,32}$")]
Hex16 = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Hex32 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
EpochNs = Annotated[str, Meta(pattern="^-?[0-9]{1,20}$", description="ns since 1970, decimal")]
UtcText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z$",
        description="RFC 3339 to the nanosecond: later is greater",
    ),
]
HostNs = Annotated[str, Meta(pattern="^[0-9]{1,20}$", description="CLOCK_MONOTONIC in ns, decimal")]
Doubt = Literal["none", "suspect", "affirmed", "unknown"]
Leap = Literal["none", "insert", "delete", "unknown"]
DeliveryLaw = Literal["unknown", "fits", "quantised", "thin start"]
Alternative = Literal["label", "edge", "leap", "weeks"]
"""How a second can be wrong with all words of a receiver agreeing: its name a second late, the
pulse's other edge, a default count of leap seconds, multiples of 1024 weeks."""
Assumption = Literal["capture latency", "pulse delay", "sentence lag", "network path"]
MAX_SEQ = 2**48 - 1  # what the node's outbox has room for: 280 000 years of 30 records a second
Count = Annotated[int, Meta(ge=0)]
Tally = Annotated[int, Meta(ge=0, le=2**53)]
Seq = Annotated[int, Meta(ge=1, le=MAX_SEQ)]


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable and keyword-only. Unknown fields are ignored: a later version may say more."""


class Strict(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For what is obeyed or written back: a word that is not understood must not get lost."""


class TimePair(Frozen, frozen=True, kw_only=True, array_like=True):
    """One time mark as (samples, ns) since the previous pair; the first is absolute."""

    samples: int
    utc_ns: EpochNs


def time_pairs(marks: Sequence[tuple[int, int]]) -> tuple[TimePair, ...]:
    """Marks (sample, UTC in ns) as records hold them: the first absolute, then differences."""
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise([(0, 0), *marks])]
    return tuple(TimePair(samples=s, utc_ns=str(u)) for s, u in steps)


def source_of(site: str, cell: str, node: str) -> str:
    """How records name the node that made them (CloudEvents `source`)."""
    return f"urn:earshot:{site}:{cell}:{node}"


class Named(Frozen, frozen=True, kw_only=True):
    """Something of one node: where it belongs and which it is."""

    site: NodeId
    cell: NodeId
    node: NodeId

    @property
    def source(self) -> str:
        """How records name the node."""
        return source_of(self.site, self.cell, self.node)

    @property
    def common_name(self) -> str:
        """SITE/CELL/NODE: the name on its certificate, and how its topics begin."""
        return f"{self.site}/{self.cell}/{self.node}"
