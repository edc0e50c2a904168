"""What a store tells of its own losses: records that went, were never kept, or are no more ours.

A loss that is counted and signed is a gap in what is known; one that is not is a forgery. The
decision what to give up is the outbox's and `app.keeping`'s.
"""

from agent.core.records.fields import Count, Frozen, Hex32, Hex64, HostNs, Seq


class Link(Frozen, frozen=True, kw_only=True, array_like=True):
    """The place and the digest of a record whose bytes are gone."""

    seq: Seq
    digest: Hex64


class Unsaid(Frozen, frozen=True, kw_only=True):
    """Records of one kind that never got a number, said between two host times."""

    kind: str
    count: Seq
    first_host_ns: HostNs
    last_host_ns: HostNs


class Shed(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="shed"):
    """What was given up for want of room: numbered statistics, and records never numbered.

    The chain crosses the numbered ones by their digests; see `chain.cross`.
    """

    reason: str
    links: tuple[Link, ...]
    unsaid: tuple[Unsaid, ...]


class Damaged(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="damaged"):
    """The store was damaged or gone, for that `reason`, so that this chain begins.

    What was left lies beside the new store as `set_aside`. The `said_again` records after this one
    repeat what waited there for a receipt, as far as it could be read.
    """

    reason: str
    set_aside: str
    said_again: Count


class Rollback(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="rollback"):
    """This store forgot records that it had signed, so their chain is left for a new one.

    `chain`, `seq` and `digest` tell where the store stood. The `said_again` records after this
    one repeat all that was not receipted, since some of their numbers were used twice.
    """

    reason: str
    chain: Hex32
    seq: Count
    digest: Hex64
    said_again: Count
