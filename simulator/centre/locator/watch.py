"""Watches over nodes: which are silent, deaf, without time or hot, told once and again when over.

Silence is judged by the locator's own clock, since the last record that was fresh: what a node
catches up on proves only that it lived then. Everything else is the node's own word, in its
heartbeats. A node that never told of its health is `unknown`, never well.
"""

import logging
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from agent.core.records import Body
from agent.core.records.findings import FAULTS, HealthStatus
from agent.core.records.heartbeat import Heartbeat, ToldFinding
from agent.core.units import NS_PER_S, parse_rfc3339_ns

AlarmKind = Literal["silent", "deaf", "unlocked", "hot"]

SILENT_NS = 180 * NS_PER_S
FRESH_NS = 180 * NS_PER_S
REFRESH_NS = 60 * NS_PER_S
UNLOCKED_BEATS = 2
LOCKED = ("locked", "holdover")
_DEAF, _HOT = ("microphone", "hearing"), ("temperature",)
_OVER = {
    "silent": "is heard again",
    "deaf": "hears again",
    "unlocked": "has time again",
    "hot": "is cool again",
}

log = logging.getLogger("earshot.locator")


class Alarm(msgspec.Struct, frozen=True):
    """Something that is wrong with a node `since` a time of the locator (RFC 3339)."""

    kind: AlarmKind
    since: str
    reason: str


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node as the locator sees it. `heard_at` is None while nothing fresh came from it."""

    node: str
    health: HealthStatus
    alarms: tuple[Alarm, ...]
    findings: tuple[ToldFinding, ...]
    unknown: tuple[str, ...]
    heard_at: str | None
    software: str = ""


class CellReport(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes of a cell at a time of the locator; it is said anew at least each REFRESH_NS."""

    site: str
    cell: str
    at: str
    nodes: tuple[NodeReport, ...]


class _Watched:
    """What is known of one node."""

    def __init__(self) -> None:
        self.quiet_ns = 0  # since the last fresh record, while the locator could hear
        self.heard_at: str | None = None
        self.newest_ns = -1
        self.beat: Heartbeat | None = None
        self.beat_utc_ns = -1
        self.unlocked_beats = 0
        self.clock = ""
        self.told_health: HealthStatus | UnsetType = UNSET
        self.alarms: dict[AlarmKind, Alarm] = {}


class Watch:
    """The nodes of a registry, by source. Time is passed in, monotonic and UTC."""

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources = sorted(sources)
        self._nodes = {source: _Watched() for source in self._sources}
        self._cells: dict[tuple[str, str], tuple[int, bool]] = {}
        self._looked_ns: int | None = None

    def hear(self, body: Body, at: str, *, is_vouched: bool = True) -> None:
        """A record that verified, and is new. Where nobody vouches for `at` one is fresh that is
        newer than all that this node said before."""
        node = self._nodes.get(body.source)
        if node is None:
            return
        said_ns = None if body.time is UNSET else parse_rfc3339_ns(body.time)
        if said_ns is not None and is_vouched and abs(parse_rfc3339_ns(at) - said_ns) > FRESH_NS:
            return
        if said_ns is not None and not is_vouched and said_ns < node.newest_ns:
            return
        node.newest_ns = max(node.newest_ns, said_ns or 0)
        node.quiet_ns, node.heard_at = 0, at
        if not isinstance(body.data, Heartbeat) or (said_ns or 0) < node.beat_utc_ns:
            return
        node.beat, node.beat_utc_ns, node.clock = body.data, said_ns or 0, body.clock.state
        is_locked = body.clock.state in LOCKED
        node.unlocked_beats = 0 if is_locked else node.unlocked_beats + 1

    def step(self, now_ns: int, at: str, *, is_listening: bool) -> list[CellReport]:
        """Raise and end alarms; the cells of which there is something to say, once a second.

        While the locator has no broker (`is_listening`) it is not the nodes that are silent.
        """
        since_ns = now_ns if self._looked_ns is None else self._looked_ns
        if now_ns - since_ns < NS_PER_S and self._looked_ns is not None:
            return []
        self._looked_ns = now_ns
        for source in self._sources:
            node = self._nodes[source]
            node.quiet_ns += now_ns - since_ns if is_listening else 0
            cell = _cell_of(source)
            told_ns, is_changed = self._cells.get(cell, (now_ns - REFRESH_NS, True))
            if self._judge(source, node, at):
                is_changed = True
            self._cells[cell] = told_ns, is_changed
        return [self._report(cell, now_ns, at) for cell in self._due(now_ns)]

    def _due(self, now_ns: int) -> list[tuple[str, str]]:
        return [
            cell
            for cell, (told_ns, is_changed) in self._cells.items()
            if is_changed or now_ns - told_ns >= REFRESH_NS
        ]

    def _judge(self, source: str, node: _Watched, at: str) -> bool:
        """True if an alarm began or ended."""
        wrong = _wrong(node)
        begun = [kind for kind in wrong if kind not in node.alarms]
        ended = [kind for kind in node.alarms if kind not in wrong]
        if "silent" in wrong:  # of a node that says nothing the rest is not known to be over
            ended = []
        for kind in begun:
            node.alarms[kind] = Alarm(kind, at, wrong[kind])
            log.warning("node %s is %s: %s", _name(source), kind, wrong[kind])
        for kind in ended:
            since = node.alarms.pop(kind).since
            log.warning("node %s %s, after an alarm since %s", _name(source), _OVER[kind], since)
        is_news = node.beat is not None and node.beat.health != node.told_health
        node.told_health = node.beat.health if node.beat else UNSET
        return bool(begun or ended) or is_news

    def _report(self, cell: tuple[str, str], now_ns: int, at: str) -> CellReport:
        self._cells[cell] = now_ns, False
        site, name = cell
        nodes = tuple(
            _node_report(source, self._nodes[source])
            for source in self._sources
            if _cell_of(source) == cell
        )
        return CellReport(site=site, cell=name, at=at, nodes=nodes)


def _wrong(node: _Watched) -> dict[AlarmKind, str]:
    """What is wrong now, and why."""
    wrong: dict[AlarmKind, str] = {}
    if node.quiet_ns > SILENT_NS:
        last = f"last heard at {node.heard_at}" if node.heard_at else "never heard"
        wrong["silent"] = f"no record for {node.quiet_ns // NS_PER_S} s, {last}"
    beat = node.beat
    if beat is None:
        return wrong
    if reason := _critical(beat, _DEAF):
        wrong["deaf"] = reason
    elif not beat.heard_samples:
        wrong["deaf"] = "no sound within the minute of its heartbeat"
    if node.unlocked_beats >= UNLOCKED_BEATS:
        wrong["unlocked"] = f"its clock is {node.clock}"
    if reason := _critical(beat, _HOT, also_warnings=True):
        wrong["hot"] = reason
    return wrong


def _critical(beat: Heartbeat, checks: tuple[str, ...], *, also_warnings: bool = False) -> str:
    """The first finding of these checks that is as bad; with the part to touch."""
    for one in () if beat.findings is UNSET else beat.findings:
        fault = FAULTS.get(one.fault)
        if fault and fault.check in checks and (also_warnings or one.status == "critical"):
            return f"{one.fault} ({one.value}): {one.part}" if one.value else f"{one.fault}"
    return ""


def _node_report(source: str, node: _Watched) -> NodeReport:
    beat = node.beat
    health: HealthStatus = "unknown"
    if beat is not None and beat.health is not UNSET and "silent" not in node.alarms:
        health = beat.health
    return NodeReport(
        node=source,
        health=health,
        alarms=tuple(node.alarms.values()),
        findings=() if beat is None or beat.findings is UNSET else beat.findings,
        unknown=() if beat is None or beat.unknown is UNSET else beat.unknown,
        heard_at=node.heard_at,
        software="" if beat is None or beat.software is UNSET else beat.software,
    )


def _cell_of(source: str) -> tuple[str, str]:
    _, _, site, cell, _ = source.split(":")
    return site, cell


def _name(source: str) -> str:
    """As topics name it."""
    return "/".join(source.split(":")[2:])
