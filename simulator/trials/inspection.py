"""What one recording makes a node hear, in pictures: waveform, gate, onsets and verdicts.

The node's own hearing listens, after some seconds of the recording's own background. Nothing is
judged here beyond what the node says.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import spectrogram

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.hearing import Hearing, Onset
from agent.core.hearing.band_envelopes import BAND_EDGES_HZ
from agent.core.units import dbfs
from simulator.report.page import (
    Markup,
    cards,
    figure,
    heading,
    page,
    paragraph,
    side_by_side,
    table,
)
from simulator.report.plots import FOUND, INK, MUTED, WRONG, drawing, svg
from simulator.scene.lead_in import read_recording
from simulator.scene.randomness import stream
from simulator.trials.corpus.embedding import FULL_SCALE, LEAD_IN_S, continued
from simulator.trials.reasons import Effect, aspects, effects

_BLOCK_S = 1024 / 48_000
_TAIL_S = 0.5
_DRAWN_POINTS = 6000
_CLOSE_S = (-3e-3, 12e-3)
_MOST_CLOSE = 24
_SIGMAS = 2.0
_SPECTRUM_S = 12e-3
COLUMNS = (
    "onset, s", "sigma noise, us", "published", "score", "reason", "peak dBFS", "SNR dB", "rise us",
    "lasts ms", "crest dB", "centroid Hz", "tonality", "clipped",
)  # fmt: skip

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inspection:
    """One recording as a node heard it; times are seconds from its first sample.

    `levels` are rows of (time, the street's RMS in dBFS, the peak that opens the gate in dBFS).
    """

    name: str
    sound: Wave
    rate_hz: int
    onsets: tuple[tuple[float, Onset], ...]
    levels: Wave

    @property
    def published(self) -> int:
        """How many onsets a node would have sent."""
        return sum(onset.verdict.accepted for _, onset in self.onsets)


def inspect(path: Path, seed: int = 1) -> Inspection:
    """Let a node hear the recording at `path`. Raises AudioError."""
    recording = read_recording(path)
    sound, rate_hz = recording.samples / FULL_SCALE, recording.rate_hz
    before, after = round(LEAD_IN_S * rate_hz), round(_TAIL_S * rate_hz)
    total = continued(sound, rate_hz, before, after, stream(seed, "inspect"))
    pcm = np.clip(np.rint(total * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    end = before + len(sound)
    hearing, block = Hearing(AudioFormat(rate_hz)), round(_BLOCK_S * rate_hz)
    heard: list[Onset] = []
    levels: list[tuple[float, float, float]] = []
    for start in range(0, len(pcm), block):
        heard += hearing.on_block(AudioBlock(start, pcm[start : start + block], 0))
        noise_dbfs, opens_at_dbfs = hearing.noise_dbfs, hearing.opens_at_dbfs
        if noise_dbfs is not None and opens_at_dbfs is not None and before <= start < end:
            levels.append(((start - before) / rate_hz, noise_dbfs, opens_at_dbfs))
    heard += hearing.finish()
    timed = [((one.sample - before) / rate_hz, one) for one in heard]
    inside = tuple(one for one in timed if 0.0 <= one[0] < len(sound) / rate_hz)
    return Inspection(path.name, sound, rate_hz, inside, np.array(levels).reshape(-1, 3))


def rows(seen: Inspection) -> list[tuple[str, ...]]:
    """COLUMNS of every onset, as tables print them."""
    return [
        (
            f"{at_s:.6f}",
            f"{onset.sigma_noise_samples / seen.rate_hz * 1e6:.1f}",
            "yes" if onset.verdict.accepted else "no",
            f"{onset.verdict.score:.3f}",
            onset.verdict.reason,
            f"{onset.features.peak_dbfs:.1f}",
            f"{onset.features.snr_db:.1f}",
            f"{onset.features.rise_us:.0f}",
            f"{onset.features.duration_ms:.1f}",
            f"{onset.features.crest_db:.1f}",
            f"{onset.features.centroid_hz:.0f}",
            f"{onset.features.tonality:.2f}",
            "yes" if onset.features.clipped else "",
        )
        for at_s, onset in seen.onsets
    ]


def inspection_page(seen: Inspection, software: str) -> str:
    """The whole page."""
    lasts_s = len(seen.sound) / seen.rate_hz
    figures = [
        (f"{lasts_s:.2f} s", f"of sound at {seen.rate_hz} Hz"),
        (str(len(seen.onsets)), "onsets found"),
        (str(seen.published), "of them published"),
    ]
    with drawing(9.6, 5.0) as drawn:
        draw_overview(drawn, seen)
        overview = svg(drawn, f"waveform and levels of {seen.name}")
    body: list[Markup] = [
        cards(figures),
        figure(
            overview,
            "Above the waveform with every onset, published or not. Below the sound's own peak "
            "level, the street's noise, and the peak from which on a muzzle blast opens the gate.",
        ),
    ]
    if seen.onsets:
        shown = seen.onsets[:_MOST_CLOSE]
        body += [
            heading("Onsets"),
            table(COLUMNS, rows(seen), numbers=frozenset({0, 1, 3, 5, 6, 7, 8, 9, 10, 11})),
            heading("Close by"),
            side_by_side(_close_figure(seen, at_s, onset) for at_s, onset in shown),
            heading("Why"),
            paragraph(
                "By how much the log-odds of a shot would fall were one number at its median; of "
                "whole aspects of the sound first, then of the five numbers that spoke most."
            ),
            side_by_side(_why_figure(at_s, onset) for at_s, onset in shown),
        ]
        if len(shown) < len(seen.onsets):
            body.append(paragraph(f"The first {len(shown)} of {len(seen.onsets)} are drawn."))
    else:
        body.append(paragraph("Nothing in it opened the gate."))
    lead = f"What a node makes of it, after {LEAD_IN_S:.0f} s of the recording's own background."
    return page(seen.name, lead, body, f"earshot {software}")


def draw_overview(drawn: Figure, seen: Inspection) -> None:
    """Waveform above, spectrogram amid, levels below, on one axis of time."""
    above, amid, below = drawn.subplots(3, 1, sharex=True)
    _draw_wave(above, seen)
    _draw_spectrogram(amid, seen)
    at_s, low, high = _envelope(seen)
    peak_db = [max(-96.0, dbfs(max(float(top), 1e-6))) for top in np.maximum(high, -low)]
    below.plot(at_s, peak_db, color=MUTED, linewidth=0.7, label="sound, peak")
    if len(seen.levels):
        below.plot(seen.levels[:, 0], seen.levels[:, 1], color=INK, label="street, RMS")
        below.plot(seen.levels[:, 0], seen.levels[:, 2], color=WRONG, label="opens the gate")
    below.set(xlabel="s", ylabel="dBFS", ylim=(-96.0, 3.0))
    below.legend(loc="upper right", ncols=3)


def _draw_wave(axes: Axes, seen: Inspection) -> None:
    at_s, low, high = _envelope(seen)
    axes.fill_between(at_s, low, high, color=INK, linewidth=0.3)
    for is_published, colour, name in ((True, FOUND, "published"), (False, WRONG, "rejected")):
        mine = [at for at, onset in seen.onsets if onset.verdict.accepted == is_published]
        if mine:
            axes.vlines(mine, -1.0, 1.0, color=colour, linewidth=0.9, label=name)
    axes.set(ylabel="full scale", ylim=(-1.05, 1.05))
    if seen.onsets:
        axes.legend(loc="upper right", ncols=2)


def _draw_spectrogram(axes: Axes, seen: Inspection) -> None:
    """Power per Hz in dB, in pieces of _SPECTRUM_S; the line is where the verdict's bands end."""
    count = min(len(seen.sound), max(64, round(_SPECTRUM_S * seen.rate_hz)))
    hertz, time_s, power = spectrogram(
        seen.sound, seen.rate_hz, nperseg=count, noverlap=count // 2, scaling="density"
    )
    level_db = 10.0 * np.log10(power + 1e-14)
    top = float(level_db.max())
    axes.pcolormesh(time_s, hertz / 1e3, level_db, vmin=top - 80.0, vmax=top, rasterized=True)
    axes.axhline(BAND_EDGES_HZ[-1] / 1e3, color=MUTED, linewidth=0.6)
    axes.set(ylabel="kHz")


def _why_figure(at_s: float, onset: Onset) -> Markup:
    """Bars of the effects on the score, for a shot to the right."""
    speaks_for, against = effects(onset.features)
    whole = [Effect(name, 0.0, 0.0, one) for name, one in aspects(onset.features).items()]
    bars = [*whole, *speaks_for, *reversed(against)]
    with drawing(6.4, 3.6) as drawn:
        axes = drawn.subplots()
        colours = [FOUND if one.log_odds > 0.0 else WRONG for one in bars]
        places = np.arange(len(bars))
        axes.barh(places, [one.log_odds for one in bars], color=colours, height=0.7)
        axes.set_yticks(places, [one.name for one in bars], fontsize=7)
        axes.axhline(len(whole) - 0.5, color=MUTED, linewidth=0.6)
        axes.invert_yaxis()
        axes.set(xlabel="log-odds against the usual")
        picture = svg(drawn, f"what spoke for and against a shot at {at_s:.3f} s")
    return figure(picture, f"{at_s:.4f} s: score {onset.verdict.score:.3f}")


def _envelope(seen: Inspection) -> tuple[Wave, Wave, Wave]:
    """Time, least and largest of so many equal pieces."""
    piece = max(1, len(seen.sound) // _DRAWN_POINTS)
    whole = len(seen.sound) // piece
    pieces = seen.sound[: whole * piece].reshape(whole, piece)
    return np.arange(whole) * piece / seen.rate_hz, pieces.min(axis=1), pieces.max(axis=1)


def _close_figure(seen: Inspection, at_s: float, onset: Onset) -> Markup:
    first = max(0, round((at_s + _CLOSE_S[0]) * seen.rate_hz))
    last = min(len(seen.sound), round((at_s + _CLOSE_S[1]) * seen.rate_hz))
    time_ms = (np.arange(first, last) / seen.rate_hz - at_s) * 1e3
    sigma_ms = onset.sigma_noise_samples / seen.rate_hz * 1e3
    colour = FOUND if onset.verdict.accepted else WRONG
    with drawing(4.6, 2.2) as drawn:
        axes = drawn.subplots()
        axes.plot(time_ms, seen.sound[first:last], color=INK, linewidth=0.8)
        axes.axvspan(-_SIGMAS * sigma_ms, _SIGMAS * sigma_ms, color=colour, alpha=0.25)
        axes.axvline(0.0, color=colour, linewidth=0.9)
        axes.set(xlabel="ms from the onset")
        picture = svg(drawn, f"waveform around {at_s:.3f} s")
    word = "published" if onset.verdict.accepted else onset.verdict.reason
    caption = f"{at_s:.4f} s: {word}, score {onset.verdict.score:.3f}, 2 sigma shaded"
    return figure(picture, caption)
