"""What the locator concludes: incidents, the rounds in them, and how to say it in GeoJSON."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from agent.core.units import rfc3339
from simulator.centre.locator.geodesy import Wgs84, wgs84

Status = Literal["located", "detected", "ill-conditioned"]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One arrival a round rests on, and by how much it came later than the solution says.

    One that `is_listed` stands in the list that the record holds.
    """

    source: str
    record_id: str
    residual_us: float
    is_listed: bool = False


@dataclass(frozen=True, slots=True)
class LocatedRound:
    """One discharge. Covariance is (ee, en, nn) in square metres, sigma1 its major axis."""

    utc_ns: int
    enu_m: tuple[float, float, float]
    covariance_m2: tuple[float, float, float]
    sigma1_m: float
    sigma2_m: float
    arrivals: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """When else the same shot may have been: nodes whose clocks disagree by whole seconds say so,
    and nobody can tell who is right. `incident_id` is what they told of it, empty for nothing."""

    utc_ns: int
    incident_id: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Rounds from one place within seconds; only `located` ones have a position that counts.

    `detected`: heard by three nodes, or by more of which too few can have heard the direct sound.
    `ill-conditioned`: enough nodes, useless geometry. `notes` say what was done to the times that
    it rests on, and what is not known of them. With `alternatives` the place counts, and its second
    is one of several.
    """

    id: str
    site: str
    cell: str
    status: Status
    reason: str
    rounds: tuple[LocatedRound, ...]
    utc_ns: int
    heard_by: tuple[str, ...]
    notes: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    def noted(self, note: str) -> "Incident":
        """The same, with something said beside it."""
        return replace(self, notes=(*self.notes, note))

    @property
    def enu_m(self) -> tuple[float, float, float] | None:
        """Mean of the rounds' positions, weighted with their information; None if unlocated."""
        if not self.rounds:
            return None
        weights = np.array([1.0 / (one.sigma1_m**2 + one.sigma2_m**2) for one in self.rounds])
        places = np.array([one.enu_m for one in self.rounds])
        east, north, up = (float(x) for x in weights @ places / weights.sum())
        return east, north, up


def incident_id(record_ids: Iterable[str]) -> str:
    """16 hex digits that name an incident by the records it rests on."""
    return hashlib.sha256("\n".join(sorted(record_ids)).encode()).hexdigest()[:16]


def to_geojson(incident: Incident, origin_wgs84: Wgs84 | None) -> dict[str, Any]:
    """A GeoJSON Feature (RFC 7946); without an origin the geometry is null, metres remain."""
    place = incident.enu_m
    geometry = None
    if place is not None and origin_wgs84 is not None:
        latitude, longitude, _ = wgs84(place, origin_wgs84)
        geometry = {"type": "Point", "coordinates": [round(longitude, 7), round(latitude, 7)]}
    return {
        "type": "Feature",
        "id": incident.id,
        "geometry": geometry,
        "properties": {
            "site": incident.site,
            "cell": incident.cell,
            "status": incident.status,
            "reason": incident.reason,
            **({"notes": list(incident.notes)} if incident.notes else {}),
            "time": rfc3339(incident.utc_ns),
            **(
                {"alternatives": list(map(_told, incident.alternatives))}
                if incident.alternatives
                else {}
            ),
            "enu_m": None if place is None else [round(x, 2) for x in place],
            "heard_by": list(incident.heard_by),
            "rounds": [
                {
                    "time": rfc3339(one.utc_ns),
                    "enu_m": [round(x, 2) for x in one.enu_m],
                    "covariance_m2": [round(x, 4) for x in one.covariance_m2],
                    "sigma1_m": round(one.sigma1_m, 2),
                    "sigma2_m": round(one.sigma2_m, 2),
                    "arrivals": [
                        {
                            "record": a.record_id,
                            "residual_us": round(a.residual_us, 1),
                            **({"listed": True} if a.is_listed else {}),
                        }
                        for a in one.arrivals
                    ],
                }
                for one in incident.rounds
            ],
        },
    }


def _told(other: Alternative) -> dict[str, str | None]:
    return {"time": rfc3339(other.utc_ns), "incident": other.incident_id or None}
