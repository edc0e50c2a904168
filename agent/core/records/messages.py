"""What is said outside the chain: receipts from the locator, and a node's word about its link.

Records are `kinds`; commands and replies are `trust.commands`.
"""

from typing import Annotated

from msgspec import Meta

from agent.core.records.fields import MAX_SEQ, Count, Frozen, Hex32, Hex64, Seq, Tally

TAKES_SOFTWARE, TAKES_REFUSAL, TAKES_BRIEF = "software", "refusal", "brief"
TAKES_CLOCK = "clock"  # in a receipt: by whose word the time in it is, and its bound
TAKES_BOOT = "boot"  # in a command: the run that is to obey it
MAX_REFUSED = 32
Upto = Annotated[int, Meta(ge=0, le=MAX_SEQ)]


class Receipt(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """The locator's word that it holds a chain durably: 1..`upto_seq` and the `extra` ranges.

    `software` is the locator's version; like every field that 0.1.0 did not have, it is only sent
    to a node whose status says that it takes it, for nodes of 0.1.0 refuse what they do not know.
    `received_at` is right within `bound_ms` by the word of `clock`: the locator's "kernel", the
    source of a node, or "nobody", and then without a bound: a date, by which nothing is judged.
    """

    source: str
    chain: Hex32
    upto_seq: Upto
    head: Hex64
    extra: tuple[tuple[Seq, Seq], ...]
    received_at: str
    software: str = ""
    clock: str = ""
    bound_ms: Count | None = None


class Never(Frozen, frozen=True, kw_only=True, array_like=True):
    """A message, by the SHA-256 of its bytes, that no key can ever make a record."""

    sha256: Hex64
    reason: str


class Refusal(Frozen, frozen=True, kw_only=True):
    """The locator's word on what it need not be sent again: malformed, too large, out of range.

    It comes on the topic of receipts, to a node whose status says that it takes it. What a key
    that is not known (yet) has signed is never in it. The node keeps such a record aside.
    """

    source: str
    at: str
    refused: Annotated[tuple[Never, ...], Meta(max_length=MAX_REFUSED)]


class Status(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """Retained presence and link health: signed, never chained, since it is about the link.

    `takes` names what locator and operator may send beyond what 0.1.0 knew.
    """

    source: str
    online: bool
    boot: Hex32
    backlog: Tally
    connects: Tally
    software: str
    takes: tuple[str, ...] = ()
