"""How times, places and misses read, the same on the terminal and in a report."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.core.units import rfc3339

if TYPE_CHECKING:  # the locator says times and places too, where no scipy is installed
    from simulator.report.score import Row, Score

ROUND_COLUMNS = ("shot", "truth E, N", "located E, N", "error", "nodes", "sigma")
"""Places in metres; sigma is the major axis of a round's uncertainty, 1 sigma."""


def round_cells(row: "Row") -> tuple[str, ...]:
    """What ROUND_COLUMNS head, for one fired round."""
    located = row.located
    return (
        row.truth.label,
        place(row.truth.enu_m),
        "not located" if located is None else place(located.enu_m),
        metres(row.error_m),
        "-" if row.nodes_heard is None else str(row.nodes_heard),
        metres(None if located is None else located.sigma1_m),
    )


def place(enu_m: Sequence[float] | None) -> str:
    """East and north, or a dash."""
    return "-" if enu_m is None else f"{enu_m[0]:.1f}, {enu_m[1]:.1f}"


def metres(value: float | None) -> str:
    """A distance, or a dash."""
    return "-" if value is None else f"{value:.1f} m"


def share(part: int, whole: int) -> str:
    """A part in per cent, or a dash of nothing."""
    return f"{100.0 * part / whole:.1f} %" if whole else "-"


def count(number: int, thing: str) -> str:
    """So many of a thing whose plural ends in s."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def clock_time(utc_ns: int) -> str:
    """UTC to the millisecond, without the day."""
    return rfc3339(utc_ns)[11:23]


def located_line(score: "Score") -> str:
    """The outcome in one line."""
    return (
        f"{score.rounds_located} of {score.rounds_fired} rounds located, "
        f"median error {metres(score.median_error_m)}, "
        f"{score.false_incidents} of {score.incidents} located incidents false"
    )


def causes(score: "Score") -> list[tuple[str, int]]:
    """Why rounds were not located, most frequent first."""
    counted = Counter[str](row.miss.cause for row in score.rows if row.miss is not None)
    return counted.most_common()


def misses(score: "Score") -> list[tuple[str, str, str]]:
    """Label, cause and detail of every round that was not located."""
    return [
        (row.truth.label, row.miss.cause, row.miss.detail)
        for row in score.rows
        if row.miss is not None
    ]
