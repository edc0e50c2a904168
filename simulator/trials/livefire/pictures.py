"""Pictures of a live-fire replay: each firing position, how errors are spread, and who else.

The rest of the drawing is in `simulator.report.plots`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Station
from simulator.report.plots import (
    FOUND,
    INK,
    MUTED,
    PAPER,
    TRUTH,
    WRONG,
    add_north,
    add_scale_bar,
    drawing,
    set_limits,
    svg,
)
from simulator.report.score import Row
from simulator.scene.propagation import Floats
from simulator.trials.livefire.sites import Point

PUBLISHED_WITHIN_25M_PCT = 96.9
PUBLISHED_SENSORS = 21
CLOSE_UP_M = 40.0


def position_maps(
    stations: Sequence[Station],
    survey_m: Point,
    rows: Sequence[Row],
    false: Sequence[Incident],
    *,
    title: str,
) -> str:
    """One firing position: the sensors around it, and a close-up around the survey."""
    with drawing(8.4, 4.1) as figure:
        site, close_up = figure.subplots(1, 2)
        _draw_sensors(site, stations)
        places = [one.enu_m for one in stations]
        set_limits(site, [*places, survey_m])
        site.set(xlabel="east, m", ylabel="north, m")
        add_scale_bar(site)
        add_north(site)
        found = np.array([row.located.enu_m[:2] for row in rows if row.located is not None])
        for axes, size in ((site, 9), (close_up, 26)):
            if len(found):
                axes.scatter(found[:, 0], found[:, 1], s=size, color=FOUND, alpha=0.65, zorder=5)
            for one in false:
                axes.plot(*(one.enu_m or survey_m)[:2], "*", color=WRONG, markersize=8, zorder=5)
            axes.plot(*survey_m[:2], "+", color=TRUTH, markersize=14, markeredgewidth=2, zorder=6)
        _frame_close_up(close_up, survey_m, found)
        return svg(figure, title)


def error_distribution(errors_m: Sequence[float], fired: int, *, title: str) -> str:
    """Share of all fired rounds that were located within so many metres."""
    with drawing(4.4, 3.7) as figure:
        axes = figure.subplots()
        steps_m = np.sort(np.asarray(errors_m, np.float64))
        share_pct = 100.0 * np.arange(1, len(steps_m) + 1) / max(fired, 1)
        reached_pct = 100.0 * len(steps_m) / max(fired, 1)
        axes.step(
            [0.0, *steps_m, 1e6], [0.0, *share_pct, reached_pct],
            where="post", color=FOUND, linewidth=2.2,
        )  # fmt: skip
        for limit_m in (15, 25):
            axes.axvline(limit_m, color=MUTED, linewidth=0.9, linestyle=":")
            axes.annotate(f"{limit_m} m", (limit_m, 2), (3, 0), textcoords="offset points",
                          color=MUTED, fontsize=9)  # fmt: skip
        axes.set(xlim=(0, 50), ylim=(0, 100))
        axes.set(xlabel="horizontal error, m", ylabel="of all fired rounds, %")
        return svg(figure, title)


def comparison(within_25m: Mapping[str, tuple[int, int]], *, title: str) -> str:
    """Rounds within 25 m of those fired, by firing position and in all, beside the published."""
    bars = [
        *((one, 100.0 * near / max(fired, 1), FOUND) for one, (near, fired) in within_25m.items()),
        (f"recording system,\nup to {PUBLISHED_SENSORS} sensors", PUBLISHED_WITHIN_25M_PCT, MUTED),
    ]
    with drawing(4.4, 3.7) as figure:
        axes = figure.subplots()
        names = [name for name, _, _ in bars]
        axes.barh(names, [pct for _, pct, _ in bars], color=[colour for _, _, colour in bars])
        for at, (_, pct, _) in enumerate(bars):
            is_long = pct > 20
            axes.annotate(
                f"{pct:.1f} %", (pct, at), (-5 if is_long else 5, 0), va="center",
                textcoords="offset points", ha="right" if is_long else "left",
                color=PAPER if is_long else INK,
            )  # fmt: skip
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, 100), xlabel="located within 25 m, %")
        axes.invert_yaxis()
        return svg(figure, title)


def _draw_sensors(axes: Axes, stations: Sequence[Station]) -> None:
    """Each sensor once, larger the more tests it recorded."""
    by_node: dict[str, list[Station]] = defaultdict(list)
    for one in stations:
        by_node[one.node].append(one)
    for node, several in by_node.items():
        east_m, north_m = np.median([one.enu_m[:2] for one in several], axis=0)
        axes.scatter([east_m], [north_m], s=14 + 2.4 * len(several), marker="s", color=INK)
        axes.annotate(node[-4:], (east_m, north_m), (5, 4), textcoords="offset points", fontsize=8)


def _frame_close_up(axes: Axes, survey_m: Point, found: Floats) -> None:
    for limit_m in (15.0, 25.0):
        turn = np.linspace(0.0, 2.0 * np.pi, 121)
        axes.plot(survey_m[0] + limit_m * np.cos(turn), survey_m[1] + limit_m * np.sin(turn),
                  color=MUTED, linewidth=0.9, linestyle=":")  # fmt: skip
        axes.annotate(f"{limit_m:g} m", (survey_m[0], survey_m[1] + limit_m), (0, 3), ha="center",
                      textcoords="offset points", color=MUTED, fontsize=8)  # fmt: skip
    axes.set(xlim=(survey_m[0] - CLOSE_UP_M, survey_m[0] + CLOSE_UP_M))
    axes.set(ylim=(survey_m[1] - CLOSE_UP_M, survey_m[1] + CLOSE_UP_M))
    axes.set(xlabel="east, m", aspect="equal")
    offsets_m = np.abs(found - np.array(survey_m[:2])) if len(found) else np.zeros((0, 2))
    beyond = int(np.sum(offsets_m.max(axis=1, initial=0.0) > CLOSE_UP_M))
    if beyond:
        axes.set_title(f"{beyond} located beyond the frame", color=WRONG, fontsize=9)
