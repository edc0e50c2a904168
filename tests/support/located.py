"""Belief of a locator, made by hand: stations, located rounds, incidents and a grid's result."""

import math
from collections.abc import Iterable, Mapping, Sequence

from agent.core.records.envelope import load_public_key
from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.centre.locator.arrival import Arrival
from simulator.centre.locator.incident import Contribution, Incident, LocatedRound
from simulator.centre.locator.registry import Station
from simulator.centre.locator.service import ServiceCounters
from simulator.grid.grid import GridResult
from simulator.report.score import TruthRound
from tests.support.drafts import signer_of

Point = tuple[float, float, float]

AIR_C = 15.0
NODES_ENU_M: dict[str, Point] = {
    "n1": (0.0, 0.0, 5.0),
    "n2": (310.0, 24.0, 6.0),
    "n3": (285.0, 330.0, 5.0),
    "n4": (-28.0, 296.0, 7.0),
    "n5": (140.0, 470.0, 5.0),
}
START_NS = 1_773_522_000 * NS_PER_S


def stations(
    cell: str = "a", site: str = "lab", nodes: Mapping[str, Point] = NODES_ENU_M
) -> dict[str, Station]:
    """The nodes of one cell by their source."""
    return {
        (source := f"urn:earshot:{site}:{cell}:{node}"): Station(
            source=source,
            site=site,
            cell=cell,
            node=node,
            key=load_public_key(signer_of(node).public_key()),
            enu_m=enu_m,
            sigma_m=0.1,
        )
        for node, enu_m in nodes.items()
    }


def fired(at_s: float | None, enu_m: Point = (120.0, 165.0, 1.5), cell: str = "a") -> TruthRound:
    """A round `at_s` after START_NS, or at an unknown time."""
    utc_ns = None if at_s is None else START_NS + round(at_s * NS_PER_S)
    return TruthRound(cell=cell, utc_ns=utc_ns, enu_m=enu_m, label=f"at {at_s}")


def located(
    at_s: float, enu_m: Point = (120.0, 165.0, 1.5), heard: Iterable[str] = ()
) -> LocatedRound:
    """A located round, heard by all nodes (or those in `heard`)."""
    sources = list(heard) or list(stations())
    return LocatedRound(
        utc_ns=START_NS + round(at_s * NS_PER_S),
        enu_m=enu_m,
        covariance_m2=(1.44, 0.3, 0.49),
        sigma1_m=1.24,
        sigma2_m=0.62,
        arrivals=tuple(
            Contribution(source, f"{'c' * 32}/{number}", 40.0 * (number - 2))
            for number, source in enumerate(sources)
        ),
    )


def incident(*rounds: LocatedRound, cell: str = "a", site: str = "lab") -> Incident:
    """A located incident of these rounds."""
    return Incident(
        id=f"{rounds[0].utc_ns % 2**64:016x}",
        site=site,
        cell=cell,
        status="located",
        reason="located by 5 nodes",
        rounds=rounds,
        utc_ns=rounds[0].utc_ns,
        heard_by=tuple(sorted({one.source for found in rounds for one in found.arrivals})),
    )


def unlocated(at_s: float, status: str, reason: str, cell: str = "a") -> Incident:
    """Something that was heard, but has no place."""
    return Incident(
        id="0" * 16,
        site="lab",
        cell=cell,
        status="detected" if status == "detected" else "ill-conditioned",
        reason=reason,
        rounds=(),
        utc_ns=START_NS + round(at_s * NS_PER_S),
        heard_by=tuple(stations(cell)),
    )


def arrivals(
    truth: TruthRound,
    nodes: Iterable[str],
    late_s: float = 0.0,
    places: Mapping[str, Point] = NODES_ENU_M,
) -> list[Arrival]:
    """What these nodes heard of a round of known time in still air."""
    assert truth.utc_ns is not None
    speed_mps = sound_speed_mps(AIR_C)
    return [
        Arrival(
            source=station.source,
            record_id=f"{'d' * 32}/1",
            toa_utc_ns=truth.utc_ns
            + round((math.dist(station.enu_m, truth.enu_m) / speed_mps + late_s) * NS_PER_S),
            sigma_ns=200_000,
            snr_db=30.0,
            peak_dbfs=-12.0,
            score=0.9,
        )
        for station in stations(truth.cell, nodes=places).values()
        if station.node in set(nodes)
    ]


def grid_result(incidents: Sequence[Incident], cells: Mapping[str, Station]) -> GridResult:
    """A run that ended with these incidents and nothing amiss."""
    return GridResult(
        incidents=list(incidents),
        arrivals=[],
        stations=dict(cells),
        counters=ServiceCounters(),
        records_published=42,
        records_verified=42,
        chain_faults=[],
        chains={},
        audio_s=120.0,
        wall_s=3.0,
        cpu_s=4.0,
        broker="mosquitto",
    )
