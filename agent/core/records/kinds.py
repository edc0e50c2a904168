"""What a node says: the frozen record kinds and the body that is signed.

A body is compact UTF-8 JSON and a CloudEvents 1.0 structured event at once, so `id`, `source`,
`type` and `time` are covered by the signature. Times since 1970 are decimal strings, because
nanoseconds do not fit a double. What a store loses is told by the kinds in `store_records`, what is
changed from afar in `remote_records`, at the pole in `visit_records`; sealing is `envelope`.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agent.core.records.correction import Correction
from agent.core.records.fields import (
    Alternative,
    Assumption,
    Count,
    DeliveryLaw,
    Doubt,
    EpochNs,
    Frozen,
    Hex16,
    Hex32,
    Hex64,
    HostNs,
    Leap,
    Named,
    Seq,
    TimePair,
)
from agent.core.records.foreign import Foreign
from agent.core.records.heartbeat import Heartbeat as Heartbeat
from agent.core.records.messages import Receipt as Receipt
from agent.core.records.messages import Status as Status
from agent.core.records.position import Position
from agent.core.records.remote_records import CommandOutcome, ConfigChange, KeyChange
from agent.core.records.store_records import Damaged, Rollback, Shed
from agent.core.records.thinned import Thinned as Thinned
from agent.core.records.visit_records import Calibration, Clap
from agent.core.units import rfc3339
from agent.errors import MalformedRecord

PAYLOAD_TYPE = "application/vnd.earshot.record.v1+json"
RECEIPT_TYPE = "application/vnd.earshot.receipt.v1+json"
REFUSAL_TYPE = "application/vnd.earshot.refusal.v1+json"
STATUS_TYPE = "application/vnd.earshot.status.v1+json"
COMMAND_TYPE = "application/vnd.earshot.command.v1+json"
REPLY_TYPE = "application/vnd.earshot.reply.v1+json"
GENESIS_PREV = "0" * 64

RecordId = Annotated[str, Meta(pattern="^[0-9a-f]{32}/[0-9]{1,20}$")]
SourceName = Annotated[str, Meta(pattern="^urn:earshot:[A-Za-z0-9-]+:[A-Za-z0-9-]+:[A-Za-z0-9-]+$")]
TimeState = Literal["unsynchronised", "acquiring", "locked", "holdover", "expired"]


class TimeQuality(Frozen, frozen=True, kw_only=True):
    """What the node knew of its own clock when it spoke. `sigma_ns` is a promise (1 sigma).

    `latency` tells whether the constant delay of capture was measured, or only its bound is
    known and inside sigma. `doubts` are short phrases, empty when all signs agree. `deliveries`
    is told where blocks do not come by the law that is assumed of them, `assumed` where other
    constants than the latency were measured by nobody, so that their whole range is in sigma.

    `confirmed` says whether witnesses that share no cause of error agree on which second it is. It
    is written where they do not (false), with the `alternatives` that nobody excluded: then `sigma`
    holds within the second alone. 0.1.0 knew no such word; that its records lack it says nothing.
    """

    state: TimeState
    source: str
    sigma_ns: Count | None
    mark_age_ms: Count | None
    oscillator_ppm: float | None
    latency: Literal["calibrated", "bounded"] = "bounded"
    leap: Leap = "unknown"
    spoof: Doubt = "unknown"
    jam: Doubt = "unknown"
    doubts: tuple[str, ...] = ()
    deliveries: DeliveryLaw | UnsetType = UNSET
    assumed: tuple[Assumption, ...] | UnsetType = UNSET
    confirmed: bool | UnsetType = UNSET
    alternatives: tuple[Alternative, ...] | UnsetType = UNSET


class Features(Frozen, frozen=True, kw_only=True):
    """Measured shape of one onset, whatever caused it; its colour over time: `band_envelopes`."""

    peak_dbfs: float
    peak_db_spl: float | None
    snr_db: float
    noise_dbfs: float
    rise_us: float
    duration_ms: float
    crest_db: float
    centroid_hz: float
    envelope_db: tuple[float, ...]
    spectrum_db: tuple[int, ...] = ()
    course_db: tuple[tuple[int, ...], ...] = ()
    before_db: tuple[int, ...] = ()
    shape: tuple[float, ...] = ()
    tonality: float = 0.0
    clipped: bool
    gap_in_window: bool


class Verdict(Frozen, frozen=True, kw_only=True):
    """The node's own opinion. Published records are candidates; the centre decides.

    Features and weights (`model_sha256`) suffice to repeat `score`. Where that was too low alone,
    `follows_sample` is the `sample_index` of the candidate that this one follows.
    """

    accepted: bool
    score: float
    reason: str
    model_sha256: Hex64 | None = None
    follows_sample: Count | UnsetType = UNSET


class Impulse(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="impulse"):
    """One onset: the time of arrival of an impulsive sound, cause unknown."""

    toa_utc_ns: EpochNs | None
    sigma_noise_ns: Count
    sigma_total_ns: Count | None
    sample_index: Count
    subsample: float
    rate_hz: Annotated[int, Meta(ge=1)]
    features: Features
    verdict: Verdict
    time_pairs: tuple[TimePair, ...]


class Gap(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="gap"):
    """Sound that was not heard: `lost_samples` from `first_sample` on.

    A run of gaps is one record: so many `gaps` between `first_sample` and `until_sample`, and
    `lost_samples` lost in all.
    """

    first_sample: Count
    lost_samples: Count
    reason: str
    gaps: Seq | UnsetType = UNSET
    until_sample: Count | UnsetType = UNSET


class TimebaseChange(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="timebase"):
    """The clock moved from one state to another; in a run of so many `changes`, if not at once."""

    before: TimeState
    after: TimeState
    reason: str
    changes: Seq | UnsetType = UNSET


class Start(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="start"):
    """The agent began a run. `buffer_ms` is what the sound device holds, where it says so."""

    software: str
    settings_sha256: Hex64
    rate_hz: Annotated[int, Meta(ge=1)]
    reason: Literal["new-store", "clean", "unclean"]
    buffer_ms: Count | UnsetType = UNSET


class Stop(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="stop"):
    """The agent ended a run of its own will; without it the next start is unclean."""

    reason: str


Data = (
    Impulse
    | Heartbeat
    | Gap
    | TimebaseChange
    | Position
    | Correction
    | Start
    | Stop
    | Shed
    | Rollback
    | Damaged
    | CommandOutcome
    | ConfigChange
    | KeyChange
    | Thinned
    | Clap
    | Calibration
)
Priority = Literal[0, 1, 2]
PRIORITY: dict[type[Data], Priority] = {
    Impulse: 0,
    KeyChange: 0,  # before any alert that the new key signs
    Gap: 1,
    TimebaseChange: 1,
    Position: 1,
    Correction: 1,
    Start: 1,
    Stop: 1,
    Shed: 1,
    Rollback: 1,
    Damaged: 1,
    CommandOutcome: 1,
    ConfigChange: 1,
    Thinned: 1,
    Clap: 1,
    Calibration: 1,
    Heartbeat: 2,
}


def kind_of(data: Data | Foreign) -> str:
    """The word that names a record kind in topics and in `type`."""
    if isinstance(data, Foreign):
        return data.word
    tag = data.__struct_config__.tag
    assert isinstance(tag, str)  # noqa: S101 - every kind above is tagged with a string
    return tag


class Draft(Frozen, frozen=True, kw_only=True):
    """What the node wants to say, before it is numbered, linked and signed."""

    data: Data
    clock: TimeQuality
    host_ns: int
    utc_ns: int | None

    @property
    def priority(self) -> Priority:
        """0 alerts, 1 state, 2 statistics; lower overtakes higher on the link."""
        return PRIORITY[type(self.data)]


class Body(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """The signed body, a CloudEvents 1.0 event. `time` is absent while UTC is unknown."""

    specversion: Literal["1.0"]
    id: RecordId
    source: SourceName
    type: Annotated[str, Meta(pattern="^earshot\\.[a-z]+\\.v1$")]
    time: str | msgspec.UnsetType = msgspec.UNSET
    datacontenttype: Literal["application/json"]
    keyid: Hex16
    boot: Hex32
    chain: Hex32
    seq: Seq
    prev: Hex64
    host_ns: HostNs
    clock: TimeQuality
    data: Data | Foreign


class Identity(Named, frozen=True, kw_only=True):
    """Who speaks: the place in the city, the key, and this run of the agent."""

    keyid: Hex16
    boot: Hex32

    @property
    def topic(self) -> str:
        """Root of this node's topics."""
        return f"earshot/v1/{self.common_name}"


_Payload = TypeVar("_Payload", bound=msgspec.Struct)


def compose(identity: Identity, draft: Draft, chain: str, seq: int, prev: str) -> bytes:
    """The exact bytes to sign for `draft` at one place of one chain."""
    return msgspec.json.encode(
        Body(
            specversion="1.0",
            id=f"{chain}/{seq}",
            source=identity.source,
            type=f"earshot.{kind_of(draft.data)}.v1",
            time=msgspec.UNSET if draft.utc_ns is None else rfc3339(draft.utc_ns),
            datacontenttype="application/json",
            keyid=identity.keyid,
            boot=identity.boot,
            chain=chain,
            seq=seq,
            prev=prev,
            host_ns=str(draft.host_ns),
            clock=draft.clock,
            data=draft.data,
        )
    )


def parse(payload: bytes, kind: type[_Payload]) -> _Payload:
    """Decode a payload that was already verified. Raises MalformedRecord."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise MalformedRecord(f"payload is no {kind.__name__}: {error}") from error
