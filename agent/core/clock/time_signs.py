"""What the world says about the time: the values that time references put into the stream.

Raw signs only, each with the host time at which it was noticed. What they mean together is
worked out in `second_labels` (which second a pulse was), `discipline` (host time to UTC) and
`timebase` (state and sigma).
"""

from dataclasses import dataclass
from typing import Literal

from agent.core.records.fields import Doubt, Leap

LeapFrom = Literal["satellites", "firmware", "unknown"]
Keeper = Literal["servers", "receiver", "unknown"]


@dataclass(frozen=True, slots=True)
class Kept:
    """By what a host's clock is kept: time servers, a receiver, or nobody can tell.

    Where a receiver keeps it and a server agrees, that server does so `within_ns`.
    """

    by: Keeper
    within_ns: int = 0


BY_SERVERS = Kept("servers")


@dataclass(frozen=True, slots=True)
class TimeMark:
    """UTC at one instant of host time.

    `sigma_ns` is the 1-sigma of what all marks of this source may share, which averaging cannot
    remove. How much they scatter is measured, not stated. `kept` says who keeps a host's clock.
    """

    host_ns: int
    utc_ns: int
    sigma_ns: int
    source: str
    kept: Kept = BY_SERVERS


@dataclass(frozen=True, slots=True)
class Pulse:
    """A second of UTC began at `host_ns`; which one is not told. `sigma_ns` as in TimeMark.

    `width_ns` is how long the line then stays active; None where only one edge is seen.
    `frame_ns` is the frame of the bus that it came through, 0 if it came through none; None where
    that is not known.
    """

    host_ns: int
    sigma_ns: int
    width_ns: int | None = None
    frame_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """A second of UTC began when (fractional) `sample` was converted; noticed at `host_ns`."""

    sample: float
    sigma_samples: float
    host_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a receiver believes itself to be: WGS 84, height above the ellipsoid or mean sea."""

    latitude_deg: float
    longitude_deg: float
    height_m: float | None
    hdop: float | None


@dataclass(frozen=True, slots=True)
class Fix:
    """One report of a satellite receiver, whose first byte was received at `host_ns`.

    `utc_ns` is the epoch it reports, None where the sentence names none or the receiver says
    that it is void. `is_leap_second` marks 23:59:60, whose `utc_ns` is that of the midnight
    after it. `satellites` are those used; None where the sentence does not tell.
    """

    host_ns: int
    utc_ns: int | None
    is_valid: bool
    is_leap_second: bool = False
    satellites: int | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What a receiver says of itself; `unknown` where it cannot tell.

    `leap_s` is the leap seconds that it takes from GPS time to tell UTC, None where it does not
    say; `leap_from` whether it has them from the satellites or by its firmware's default.
    """

    host_ns: int
    spoof: Doubt = "unknown"
    jam: Doubt = "unknown"
    leap: Leap = "unknown"
    leap_s: int | None = None
    leap_from: LeapFrom = "unknown"


@dataclass(frozen=True, slots=True)
class HostWord:
    """The host's own clock read `utc_ns`, and the kernel vouches for it within `bound_ns`.

    It names seconds, it is no mark: only nodes whose time comes from elsewhere are told of it. One
    that is not kept by servers may hang on the same receiver as the node: it can only object.
    """

    host_ns: int
    utc_ns: int
    bound_ns: int
    leap: Leap = "unknown"
    kept: Kept = BY_SERVERS


@dataclass(frozen=True, slots=True)
class OwnWord:
    """By a confirmed time of an earlier run of this boot it is `utc_ns`, within `bound_ns`."""

    host_ns: int
    utc_ns: int
    bound_ns: int


@dataclass(frozen=True, slots=True)
class NextPulse:
    """A receiver names the pulse to come: it begins `utc_ns`, give or take its sawtooth.

    Its pulse can only begin at a tick of its own clock: `sawtooth_ns` after the second. The word
    itself may have been on its way for `delay_ns`, and then be about the pulse before.
    """

    host_ns: int
    utc_ns: int
    sawtooth_ns: float = 0.0
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Temperature:
    """What a sensor of the host shows: not the crystal's own temperature, but one that follows."""

    host_ns: int
    celsius: float


@dataclass(frozen=True, slots=True)
class RealtimeStep:
    """Someone set the host's CLOCK_REALTIME; CLOCK_MONOTONIC, and all that counts it, went on."""

    host_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """The host slept: CLOCK_MONOTONIC stood still, and what was known of UTC by it is void."""

    host_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A sign that could not be used; `reason` is a short phrase that stays the same per cause."""

    host_ns: int
    reason: str


TimeSign = (
    TimeMark
    | Pulse
    | Fix
    | ReceiverReport
    | HostWord
    | OwnWord
    | NextPulse
    | Temperature
    | RealtimeStep
    | Discontinuity
    | Refusal
)
