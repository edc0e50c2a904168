"""The live view: one screen of 80x24 with faults, level meter and last impulses; or one line."""

import textwrap
from collections.abc import Iterable, Iterator

from agent.app.checks.report import Report
from agent.app.checks.row import Row
from agent.app.checks.words import WIDTH, headline
from agent.core.clock.node_state import NodeState
from agent.core.records.visit import Heard
from agent.core.units import moment_of

HEIGHT = 24
_IMPULSES = 4
_LOW_DBFS, _HIGH_DBFS = -90.0, 0.0
_BAR = 50
_BLOCKS = " ▁▂▃▄▅▆▇█"
_BANDS = ("31", "63", "125", "250", "500", "1k", "2k", "4k", "8k", "16k")


def screen_of(report: Report) -> list[str]:
    """At most HEIGHT lines of at most WIDTH columns; what is worst comes first."""
    state = report.state
    head, foot = [headline(report), ""], [*_rest(report.rows)]
    if state:
        head += [*meter_lines(state), ""]
        shown = 2 if any(one.fault for one in report.rows) else _IMPULSES
        foot += ["", *_impulses(state.heard, shown)]
    foot.append("Ctrl-C ends")
    room = HEIGHT - len(head) - len(foot)
    lines = [*head, *_faults([one for one in report.rows if one.fault], room), *foot]
    return [line[:WIDTH] for line in lines]


def line_of(report: Report) -> str:
    """The same in one line, for a pipe."""
    state = report.state
    at = f"{moment_of(state.utc_ns):%H:%M:%S} " if state and state.utc_ns else ""
    faults = ", ".join(dict.fromkeys(one.fault for one in report.rows if one.fault))
    level = _level_words(state) if state else "no agent"
    last = f", last {_impulse(state.heard[-1])}" if state and state.heard else ""
    return f"{at}{report.health}{': ' if faults else ''}{faults}; {level}{last}"


def meter_lines(state: NodeState) -> Iterator[str]:
    """Level and spectrum, as `earshot level` shows them too."""
    yield _level_words(state)
    level = state.level
    if level is None:
        return
    fill = round(_share(level.rms_dbfs) * _BAR)
    peak = min(_BAR - 1, round(_share(level.peak_dbfs) * _BAR))
    bar = "".join("|" if at == peak else "=" if at < fill else "." for at in range(_BAR))
    yield f"{_LOW_DBFS:.0f} [{bar}] {_HIGH_DBFS:.0f} dBFS"
    shown = [_BLOCKS[round(_share(at) * 8)] if at is not None else "-" for at in level.bands_dbfs]
    yield "    " + "".join(f"{mark * 3:^6}" for mark in shown)
    told = ["-" if at is None else f"{at:.0f}" for at in level.bands_dbfs]
    yield "    " + "".join(f"{one:^6}" for one in told) + " dBFS"
    yield "    " + "".join(f"{name:^6}" for name in _BANDS) + " Hz"


def _level_words(state: NodeState) -> str:
    level = state.level
    if level is None:
        return "level: no sound"
    full = state.full_scale_db_spl
    told = f"level {level.rms_dbfs:.1f} dBFS, peak {level.peak_dbfs:.1f} dBFS"
    if full is None:
        return told + ", not calibrated"
    return told + f" ({level.rms_dbfs + full:.0f} and {level.peak_dbfs + full:.0f} dB SPL)"


def _share(level_dbfs: float) -> float:
    return min(1.0, max(0.0, (level_dbfs - _LOW_DBFS) / (_HIGH_DBFS - _LOW_DBFS)))


def _faults(ill: list[Row], room: int) -> list[str]:
    """The worst of what is wrong, each whole, in `room` lines."""
    lines: list[str] = []
    for number, row in enumerate(ill):
        told = f"{row.check}: {row.meaning}{f' ({row.value})' if row.value else ''}"
        first, *more = textwrap.wrap(told, WIDTH - 9)
        more += textwrap.wrap(f"-> {row.part}: {row.remedy}", WIDTH - 9)
        mine = [f"{row.status.upper():<9}{first}", *(" " * 9 + line for line in more)]
        if len(lines) + len(mine) > room - (number + 1 < len(ill)):
            return [*lines, f"... and {len(ill) - number} more: `earshot check` tells all"]
        lines += mine
    return lines


def _rest(rows: Iterable[Row]) -> Iterator[str]:
    """How many are well, and the names of those that nobody knows of."""
    told = list(rows)
    well = len({one.check for one in told if one.status == "healthy"})
    yield f"{well} of {len({one.check for one in told})} checks healthy"
    if names := ", ".join(sorted({one.check for one in told if one.status == "unknown"})):
        first, *rest = textwrap.wrap(f"unknown: {names}", WIDTH)
        yield first + (" ..." if rest else "")


def _impulses(heard: tuple[Heard, ...], shown: int) -> Iterator[str]:
    yield "last impulses, UTC:" if heard else "no impulse yet: clap"
    for one in heard[: -shown - 1 : -1]:
        yield _impulse(one)


def _impulse(one: Heard) -> str:
    at = "time unknown" if one.utc_ns is None else _clock_time(one.utc_ns)
    sigma = "" if one.sigma_ns is None else f" +-{one.sigma_ns / 1000:.0f} us"
    kept = "receipted" if one.is_receipted else one.kind and "not receipted yet"
    told = f"{at}{sigma} {one.peak_dbfs:.0f} dBFS score {one.score:.2f} {one.reason}"
    return f"{told}{', ' if kept else ''}{kept}"


def _clock_time(utc_ns: int) -> str:
    return f"{moment_of(utc_ns):%H:%M:%S}.{utc_ns % 10**9 // 10**6:03d}"
