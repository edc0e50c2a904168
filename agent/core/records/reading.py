"""What a record says: all of it where it is understood, else only what links it into its chain.

For payloads whose signature held. Whether the record is what it claims to be is for others.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent.core.records.fields import Frozen, Hex16, Hex32, Hex64, HostNs, Seq
from agent.core.records.foreign import Foreign
from agent.core.records.kinds import Body, RecordId, SourceName, TimeQuality, parse
from agent.errors import MalformedRecord

_UNREAD = TimeQuality(
    state="unsynchronised", source="unread", sigma_ns=None, mark_age_ms=None, oscillator_ppm=None
)


class _Frame(Frozen, frozen=True, kw_only=True):
    """What every record of every version has."""

    id: RecordId
    source: SourceName
    type: Annotated[str, Meta(pattern="^earshot\\.[a-z]{1,32}\\.v[0-9]{1,4}$")]
    time: str | msgspec.UnsetType = msgspec.UNSET
    keyid: Hex16
    boot: Hex32
    chain: Hex32
    seq: Seq
    prev: Hex64
    host_ns: HostNs


def read_body(payload: bytes) -> Body:
    """The body in `payload`; with `Foreign` data where this version knows only its frame.

    Raises MalformedRecord for what has no place in any chain.
    """
    try:
        return parse(payload, Body)
    except MalformedRecord as error:
        try:
            frame = parse(payload, _Frame)
        except MalformedRecord:
            raise error from None
    return Body(
        specversion="1.0",
        id=frame.id,
        source=frame.source,
        type=frame.type,
        time=frame.time,
        datacontenttype="application/json",
        keyid=frame.keyid,
        boot=frame.boot,
        chain=frame.chain,
        seq=frame.seq,
        prev=frame.prev,
        host_ns=frame.host_ns,
        clock=_UNREAD,
        data=Foreign(word=frame.type.split(".")[1]),
    )


def type_fits(body: Body, kind: str) -> bool:
    """Whether the type of a record is that of its `kind`; of a foreign one it is all we know."""
    return isinstance(body.data, Foreign) or body.type == f"earshot.{kind}.v1"
