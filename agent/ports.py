"""The ports: what the application needs from the world, one small contract each.

Every contract is run over the real and the virtual adapter (`tests/contract`). Adapters raise
only errors from `agent.errors`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from agent.core.audio import AudioFormat, Heard
from agent.core.clock.time_signs import Kept, TimeSign
from agent.core.records import Draft
from agent.core.records.chain import Head, RecordKey, Sealed
from agent.core.records.kinds import Receipt


class AudioSource(Protocol):
    """One microphone channel. A device that is lost or not there yet is the adapter's to wait for:
    it tells its state instead of sound, and in a gap what was missed.
    """

    @property
    def format(self) -> AudioFormat: ...

    def read(self) -> Heard | None:
        """The next block, gap or state; waits for it. None when the source has ended for good."""

    def close(self) -> None:
        """Free the device; `read` then returns None. Closing twice is harmless."""


class TimeReference(Protocol):
    """Something that tells about UTC, from marks to bare pulses; see `core.clock.time_signs`."""

    def poll(self) -> list[TimeSign]:
        """Signs since the last call, oldest first; never waits, and only `close` may raise."""

    def close(self) -> None:
        """Free the device; `poll` then returns nothing. Closing twice is harmless."""


class HostClock(Protocol):
    """The computer's clocks, in ns. Only adapters and the threads around the steps read it."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME: may be wrong or step; never used for an event's time."""


class HostDiscipline(Protocol):
    """Knows who keeps the host's clock; answers at once, by what was found out last."""

    def kept(self) -> Kept:
        """Time servers, a receiver, or unknown."""

    def close(self) -> None:
        """Ask nobody any more."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the host and the box know of themselves; None where nothing measures it.

    `throttled` are the bits of a Raspberry Pi's firmware: 0 under-voltage, 1 capped, 2 throttled,
    3 soft limit of temperature; the same from bit 16 on since the start. Sizes in MB of 10^6.
    """

    air_temperature_c: float | None = None
    soc_temperature_c: float | None = None
    throttled: int | None = None
    disk_free_mb: int | None = None
    disk_total_mb: int | None = None
    disk_is_read_only: bool | None = None
    memory_free_mb: int | None = None
    memory_total_mb: int | None = None
    card_used_pct: int | None = None


class HostVitals(Protocol):
    """Sensors of the host and the box."""

    def read(self) -> Vitals:
        """The values now; never waits and never raises."""


class Supervisor(Protocol):
    """Whoever restarts this process when it hangs. Never waits and never raises."""

    def ready(self) -> None:
        """Sound has been heard: from now on it must be fed."""

    def feed(self) -> None:
        """All parts have made progress since the last time."""

    def tell(self, status: str) -> None:
        """A line for a person who asks it."""


class Signer(Protocol):
    """The node's evidence key, for any thread. The private half never leaves the adapter."""

    @property
    def keyid(self) -> str:
        """First 16 hex digits of SHA-256 over the DER SubjectPublicKeyInfo."""

    def public_key(self) -> bytes:
        """The 32 raw bytes of the Ed25519 public key."""

    def sign(self, message: bytes) -> bytes:
        """64-byte Ed25519 signature over `message`. TokenError where a token fails."""


class Outbox(Protocol):
    """The durable line: a record that `append` returned survives any power cut."""

    def append(self, draft: Draft) -> Sealed:
        """Number, link, sign and store in one transaction; durable on return. StoreError."""

    def pending(
        self, limit: int, skip: frozenset[RecordKey], young_above: int | None = None
    ) -> list[Sealed]:
        """Up to `limit` unreceipted records not in `skip`, by priority then seq.

        Alerts with a number above `young_above` go before all others, the newest first.
        """

    def release(self, receipt: Receipt) -> int:
        """Forget what `receipt` covers; how many went. ForgedRecord if it contradicts us."""

    def head(self) -> Head:
        """The last link that was stored."""


class Recorder(Protocol):
    """What the node says its records to: an Outbox, or something patient in front of one."""

    def append(self, draft: Draft) -> Sealed | None:
        """Take a record; None where it is not durable yet."""


Light = Literal["power", "clock", "link", "hearing"]
Pattern = Literal["off", "on", "slow", "fast", "blip"]


@dataclass(frozen=True, slots=True)
class Pressed:
    """The button was pressed: `short`, or held for LONG_PRESS_S and more."""

    kind: Literal["short", "long"]


@dataclass(frozen=True, slots=True)
class Contact:
    """The box was found open or closed: the first time it is looked at, and at each change."""

    is_open: bool


PanelEvent = Pressed | Contact
LONG_PRESS_S = 5.0


class Panel(Protocol):
    """Lights, the button and the contact of the box, as far as there are any."""

    def show(self, lights: Mapping[Light, Pattern]) -> None:
        """Let each light follow its pattern until told otherwise; others stay as they are.

        `slow` is a second on and one off, `fast` three times a second, `blip` a flash every two.
        """

    def poll(self) -> list[PanelEvent]:
        """What happened since the last call, in order; never waits."""

    def close(self) -> None:
        """Put the lights out and free the pins; `poll` then returns nothing. Twice is harmless."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted us and all subscriptions are in place."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over or never came to be; `reason` is for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The broker took `token`. It may still lose it: only a receipt is delivery."""

    token: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered `token` with a failure, or with 'no subscriber'."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """Something arrived on a subscribed topic."""

    topic: str
    payload: bytes


LinkEvent = Connected | Lost | Sent | Refused | Message

# Topic and payload of the last will, asked for at each connection: the key in force signs it.
Will = Callable[[], tuple[str, bytes]]


class Publisher(Protocol):
    """One broker, one disposable connection at a time. Never waits, except in `close`."""

    def connect(self) -> None:
        """Leave any connection with a good-bye, as far as it still carries one, and start a new
        one; `Connected` or `Lost` follows in `poll`.
        """

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over one QoS 1 message; its token returns in `Sent` or `Refused`, if ever."""

    def poll(self) -> list[LinkEvent]:
        """What happened since the last call, in order. Tokens die with their connection."""

    def close(self) -> None:
        """Disconnect cleanly and free everything."""
