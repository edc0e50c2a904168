"""`timing` as a page: each cell against the bound, each mismatch against its stated sigma."""

from simulator.report.page import figure, heading, page, paragraph, table
from simulator.report.plots import FOUND, TRUTH, drawing, svg
from simulator.trials.timing.trial import Outcome

CELL_COLUMNS = ("SNR", "distance", "bound", "RMS error", "RMS / bound", "P50", "z RMS")
ROW_COLUMNS = ("what differs", "picks", "inside", "inside 2x", "P50", "P95", "median sigma")


def cell_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """The cells as CELL_COLUMNS; times in us."""
    return [
        (
            f"{one.snr_db:g} dB",
            f"{one.distance_m:g} m",
            f"{one.bound_us:.2f}",
            f"{one.rms_us:.2f}",
            f"{one.ratio:.3f}",
            f"{one.p50_us:.2f}",
            f"{one.z_rms:.2f}",
        )
        for one in outcome.cells
    ]


def mismatch_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """The rows as ROW_COLUMNS; times in us."""
    return [
        (
            row.name,
            str(row.picks),
            f"{row.inside:.1%}",
            f"{row.inside_twice:.1%}",
            f"{row.p50_us:.0f}",
            f"{row.p95_us:.0f}",
            f"{row.median_sigma_us:.0f}",
        )
        for row in outcome.rows
    ]


def report(outcome: Outcome) -> str:
    """The whole page."""
    right = frozenset(range(1, 8))
    theirs = ", ".join(f"{name} {p50_us:g} us" for name, p50_us in outcome.peers_p50_us.items())
    body = [
        figure(_picture(outcome), "RMS error of the picker, and the bound (lines), in us."),
        heading("Against the limit"),
        paragraph(
            "Friedlander pulses of 0.5 to 2 ms behind ISO 9613-1 absorption, in pink, white and "
            "gusty noise at 48 kHz. SNR is the peak over the noise's RMS in 100 Hz to 20 kHz. The "
            "bound is Cramer and Rao's with amplitude, duration and distance unknown. z is error "
            "over stated noise sigma. Times in us."
        ),
        paragraph(
            f"Median error of all pulses at 20 dB and more: {outcome.p50_us:g} us. Others on the "
            f"same pulses, their constant delay removed: {theirs}."
        ),
        table(CELL_COLUMNS, cell_rows(outcome), numbers=right),
        heading("When the pulse is not what is assumed"),
        paragraph(
            "Share of onsets whose error is inside the stated total sigma, and inside twice it. "
            "Times in us."
        ),
        table(ROW_COLUMNS, mismatch_rows(outcome), numbers=right),
    ]
    lead = f"{outcome.pulses} pulses in each cell and row, seed {outcome.seed}."
    title = "The onset picker against the physical limit"
    return page(title, lead, body, "Written by earshot-sim.")


def _picture(outcome: Outcome) -> str:
    with drawing(8.4, 3.6) as drawn:
        axes = drawn.subplots()
        for distance_m in sorted({one.distance_m for one in outcome.cells}):
            cells = [one for one in outcome.cells if one.distance_m == distance_m]
            snrs_db = [one.snr_db for one in cells]
            axes.plot(snrs_db, [one.bound_us for one in cells], color=TRUTH, linewidth=1.0)
            axes.plot(snrs_db, [one.rms_us for one in cells], "o", color=FOUND)
            axes.annotate(f"{distance_m:g} m", (snrs_db[0], cells[0].bound_us), (6, 0),
                          textcoords="offset points", fontsize=9)  # fmt: skip
        axes.set(xlabel="SNR, dB", ylabel="error, us", yscale="log")
        return svg(drawn, "RMS error by SNR and distance, with the bound")
