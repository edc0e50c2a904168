"""What the locator uses of an impulse record: where and when it was heard, and how clearly."""

from dataclasses import dataclass, replace

from agent.core.records import Body
from agent.core.records.kinds import Impulse
from agent.core.units import NS_PER_S

# The year 2200: what is asked for around it, in ns, must still fit the 64 bits of the store.
LAST_UTC_NS = 7_258_118_400 * NS_PER_S
_MAX_SIGMA_NS = 10 * NS_PER_S
_MAX_DB = 300.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One onset at one node. `sigma_ns` is the node's own 1-sigma for its time of arrival; where
    that is not `confirmed` it holds within a second, and the time may be whole seconds off.
    `sigma_noise_ns` is the part of it that no clock has. One that `is_listed` was not told by
    itself: it stands, among others, in a busy street's list."""

    source: str
    record_id: str
    toa_utc_ns: int
    sigma_ns: int
    snr_db: float
    peak_dbfs: float
    score: float
    confirmed: bool = True
    sigma_noise_ns: int = 0
    is_listed: bool = False


def arrival_of(body: Body) -> Arrival | None:
    """The arrival in a record; None if it is no impulse or its node did not know UTC."""
    data = body.data
    if not isinstance(data, Impulse) or data.toa_utc_ns is None or data.sigma_total_ns is None:
        return None
    return Arrival(
        source=body.source,
        record_id=body.id,
        toa_utc_ns=int(data.toa_utc_ns),
        sigma_ns=data.sigma_total_ns,
        snr_db=data.features.snr_db,
        peak_dbfs=data.features.peak_dbfs,
        score=data.verdict.score,
        confirmed=body.clock.confirmed is not False,
        sigma_noise_ns=data.sigma_noise_ns,
    )


def is_possible(arrival: Arrival) -> bool:
    """False for values that no honest node has; a stolen key must not stop the locator."""
    return (
        0 <= arrival.toa_utc_ns < LAST_UTC_NS
        and arrival.sigma_ns <= _MAX_SIGMA_NS
        and max(abs(arrival.snr_db), abs(arrival.peak_dbfs)) <= _MAX_DB
    )


def moved(arrival: Arrival, toa_utc_ns: int) -> Arrival:
    """An arrival whose clock was set right by the present: it did not know the second."""
    if toa_utc_ns == arrival.toa_utc_ns:
        return arrival
    return replace(arrival, toa_utc_ns=toa_utc_ns, confirmed=False)
