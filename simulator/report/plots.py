"""Pictures of a run as inline SVG: the map, the errors magnified, and the timing residuals.

Drawn without a display, a script or a font of its own; the same run gives the same bytes.
"""

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse

from simulator.centre.locator.incident import Incident, LocatedRound
from simulator.centre.locator.registry import Station
from simulator.report.score import Row, Score
from simulator.scene.propagation import Wall

INK, MUTED, FAINT, PAPER = "#1d2a33", "#62727d", "#dfe5e8", "#fbfcfc"
FOUND, TRUTH, WRONG, WALL = "#0b7a75", "#c8553d", "#a4161a", "#8a7f72"

_STYLE: Any = {
    "svg.hashsalt": "earshot",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}
_GROUP_ID = re.compile(r' id="[A-Za-z0-9.]+_\d+"')
_SCALES = (1, 2, 5, 10, 20, 50, 100)
_SIGMAS = 2.0


@contextmanager
def drawing(width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure in the house style; draw on it inside the context."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width_in, height_in), layout="constrained")


def svg(figure: Figure, title: str) -> str:
    """The figure as an `<svg>` element that scales with the page; `title` is read out aloud."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    element = buffer.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r' (width|height)="[0-9.]+pt"', "", element, count=2)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = _GROUP_ID.sub("", element)  # figures share a page, and ids may occur only once
    return element.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def scene_map(
    stations: Iterable[Station], walls: Sequence[Wall], score: Score, *, title: str
) -> str:
    """Nodes, walls, what was fired and what was located, north up, in metres."""
    nodes = list(stations)
    with drawing(8.4, 7.0) as figure:
        axes = figure.subplots()
        for wall in walls:
            ends = list(zip(wall.start_m, wall.end_m, strict=True))
            axes.plot(*ends, color=WALL, linewidth=2.2, solid_capstyle="round", zorder=2)
        _draw_nodes(axes, nodes)
        set_limits(axes, [*(one.enu_m for one in nodes), *(r.truth.enu_m for r in score.rows)])
        scale = _draw_located(axes, score)
        _draw_fired(axes, score.rows)
        _draw_false(axes, score.false)
        if walls:
            axes.plot([], [], color=WALL, linewidth=2.2, label="wall")
        add_scale_bar(axes)
        add_north(axes)
        if scale:
            magnified = "" if scale == 1 else f", drawn x{scale}"
            label = f"uncertainty, {_SIGMAS:g} sigma{magnified}"
            axes.scatter([], [], s=90, facecolor=FOUND, alpha=0.25, edgecolor=FOUND, label=label)
        axes.set(xlabel="east, m", ylabel="north, m")
        figure.legend(loc="outside lower center", ncols=3)
        return svg(figure, title)


def error_target(rows: Sequence[Row], *, title: str) -> str:
    """Where each located round lies as seen from the truth, with rings to read distances by."""
    found = [(row, row.located) for row in rows if row.located is not None]
    with drawing(4.6, 4.6) as figure:
        axes = figure.subplots()
        reach_m = max([0.5, *(row.error_m or 0.0 for row, _ in found)]) * 1.25
        rings = draw_rings(axes, reach_m)
        for row, located in found:
            offset = (
                located.enu_m[0] - row.truth.enu_m[0],
                located.enu_m[1] - row.truth.enu_m[1],
            )
            axes.plot(*zip((0.0, 0.0), offset, strict=True), color=FOUND, linewidth=0.8, alpha=0.6)
            axes.add_patch(ellipse(located.covariance_m2, offset, 1.0, fill=False))
            axes.plot(*offset, "o", color=FOUND, markersize=5)
        axes.plot(0, 0, "+", color=TRUTH, markersize=13, markeredgewidth=2)
        axes.set(xlabel="east of truth, m", ylabel="north of truth, m", aspect="equal")
        axes.set(xlim=(-rings, rings), ylim=(-rings, rings))
        return svg(figure, title)


def residual_strips(rounds: Sequence[LocatedRound], names: Mapping[str, str], *, title: str) -> str:
    """How early or late each node heard each located round, against the place it was given."""
    by_source: dict[str, list[float]] = {source: [] for source in names}
    for one in rounds:
        for contribution in one.arrivals:
            by_source.setdefault(contribution.source, []).append(contribution.residual_us)
    with drawing(4.6, max(2.4, 1.0 + 0.36 * len(by_source))) as figure:
        axes = figure.subplots()
        axes.axvline(0.0, color=MUTED, linewidth=0.8)
        for at, residuals_us in enumerate(by_source.values()):
            axes.plot(residuals_us, [at] * len(residuals_us), "o", color=FOUND, alpha=0.55)
        axes.set_yticks(range(len(by_source)), [names.get(one, one) for one in by_source])
        axes.set_ylim(len(by_source) - 0.5, -0.5)
        axes.set_xlabel("residual, \N{MICRO SIGN}s (late is positive)")
        return svg(figure, title)


def draw_rings(axes: Axes, reach_m: float) -> float:
    """Circles at round distances that cover `reach_m`; returns the outermost."""
    step = 10.0 ** math.floor(math.log10(reach_m))
    step *= next(one for one in (0.2, 0.5, 1.0, 2.0) if reach_m / (step * one) <= 6.0)
    count = math.ceil(reach_m / step)
    for number in range(1, count + 1):
        axes.add_patch(Circle((0, 0), number * step, fill=False, color=FAINT, linewidth=0.9))
        at = number * step * math.sqrt(0.5)
        axes.annotate(
            f"{number * step:g} m", (at, at), color=MUTED, fontsize=8, ha="center", va="center",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    axes.grid(visible=False)
    return (count + 0.3) * step


def ellipse(
    covariance_m2: tuple[float, float, float],
    centre_m: tuple[float, float],
    scale: float,
    *,
    fill: bool = True,
) -> Ellipse:
    """The 2-sigma ellipse of (ee, en, nn) square metres, `scale` times too large."""
    ee, en, nn = covariance_m2
    values, vectors = np.linalg.eigh(np.array([[ee, en], [en, nn]]))
    minor, major = 2.0 * _SIGMAS * scale * np.sqrt(np.maximum(values, 0.0))
    angle_deg = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    return Ellipse(
        centre_m, major, minor, angle=angle_deg, fill=fill, color=FOUND, alpha=0.22 if fill else 0.4
    )


def set_limits(axes: Axes, places: Sequence[Sequence[float]]) -> None:
    """Frame all `places` with a margin, metres alike in both directions."""
    plane = np.array([place[:2] for place in places])
    low, high = plane.min(axis=0), plane.max(axis=0)
    margin = max(20.0, 0.09 * float((high - low).max()))
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    axes.set_aspect("equal")
    axes.autoscale(enable=False)


def add_scale_bar(axes: Axes) -> None:
    """A bar of a round length, about a third of the width at most."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    length_m = 10.0 ** math.floor(math.log10((right - left) / 3.0))
    length_m *= max(one for one in (1, 2, 5) if one * length_m <= (right - left) / 3.0)
    start, height = left + 0.03 * (right - left), bottom + 0.03 * (top - bottom)
    axes.plot([start, start + length_m], [height, height], color=INK, linewidth=3, zorder=7)
    axes.annotate(
        f"{length_m:g} m", (start + length_m / 2, height), (0, 4), textcoords="offset points",
        ha="center", zorder=7,
    )  # fmt: skip


def add_north(axes: Axes) -> None:
    """An arrow that says that north is up."""
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.6}
    axes.annotate(
        "N", xy=(0.965, 0.975), xytext=(0.965, 0.89), xycoords="axes fraction", ha="center",
        fontweight="bold", arrowprops=arrow, zorder=7,
    )  # fmt: skip


def _draw_nodes(axes: Axes, nodes: Sequence[Station]) -> None:
    east, north = [one.enu_m[0] for one in nodes], [one.enu_m[1] for one in nodes]
    axes.scatter(east, north, s=46, marker="s", color=INK, zorder=4, label="node")
    for one in nodes:
        axes.annotate(
            one.node, one.enu_m[:2], (6, 6), textcoords="offset points", fontsize=9, zorder=6
        )


def _draw_located(axes: Axes, score: Score) -> int:
    """Located rounds and their uncertainty; returns how much larger than true it is drawn."""
    rounds = [row.located for row in score.rows if row.located is not None]
    if not rounds:
        return 0
    width_m = axes.get_xlim()[1] - axes.get_xlim()[0]
    axis_m = 2.0 * _SIGMAS * float(np.median([one.sigma1_m for one in rounds]))
    scale = max([one for one in _SCALES if one * axis_m <= 0.09 * width_m], default=1)
    for one in rounds:
        axes.add_patch(ellipse(one.covariance_m2, one.enu_m[:2], scale))
    east, north = [one.enu_m[0] for one in rounds], [one.enu_m[1] for one in rounds]
    axes.scatter(east, north, s=26, color=FOUND, zorder=6, label="located")
    return scale


def _draw_fired(axes: Axes, rows: Sequence[Row]) -> None:
    looks: tuple[tuple[bool, dict[str, Any], str], ...] = (
        (False, {"edgecolor": TRUTH, "facecolor": "none", "marker": "o"}, "fired"),
        (True, {"color": WRONG, "marker": "x"}, "fired, not located"),
    )
    for missed, look, label in looks:
        places = [row.truth.enu_m for row in rows if (row.located is None) == missed]
        if places:
            east, north = [place[0] for place in places], [place[1] for place in places]
            axes.scatter(east, north, s=120, linewidths=1.8, zorder=5, label=label, **look)


def _draw_false(axes: Axes, incidents: Sequence[Incident]) -> None:
    places = [one.enu_m for one in incidents if one.enu_m is not None]
    if places:
        east, north = [place[0] for place in places], [place[1] for place in places]
        axes.scatter(east, north, s=110, marker="*", color=WRONG, zorder=5, label="false incident")
