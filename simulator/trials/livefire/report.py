"""`report.html` of a live-fire replay: the score, each firing position, and what was missed."""

from simulator.report import wording
from simulator.report.incident_report import (
    incidents_section,
    key_figures,
    misses_section,
    sample_section,
)
from simulator.report.limits import broken_promises
from simulator.report.page import (
    Markup,
    figure,
    heading,
    page,
    paragraph,
    side_by_side,
    table,
    verdict,
)
from simulator.trials.livefire.outcome import (
    LiveFireRun,
    PositionOutcome,
    by_position,
    exact_round_count_tests,
)
from simulator.trials.livefire.pictures import (
    PUBLISHED_SENSORS,
    PUBLISHED_WITHIN_25M_PCT,
    comparison,
    error_distribution,
    position_maps,
)
from simulator.trials.livefire.sites import valid_name

ATTRIBUTION = Markup(
    "Recordings, surveys and pulses: <em>ShotSpotter Sample Live Fire Test Data</em> "
    "(Pittsburgh, 18 December 2018; Tech Note 098), &copy; ShotSpotter, Inc. (SoundThinking), "
    '<a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>, '
    "github.com/ShotSpotter/research.accuracy-of-gunshot-location; changed as told under "
    "&ldquo;How this was done&rdquo;, see the dataset's README. Written by earshot-sim."
)
_POSITION_COLUMNS = (
    "position", "tests", "fired", "located", "within 15 m", "within 25 m", "false",
    "rms", "sigma 1", "sigma 2",
)  # fmt: skip


def live_fire_report(run: LiveFireRun) -> str:
    """The whole page."""
    outcomes = by_position(run)
    return page(
        "Earshot: live fire" + (", null control" if run.is_blank else ""),
        _lead(run),
        [
            _verdict(run),
            key_figures(run.result, run.score),
            *_comparison(run, outcomes),
            *_positions(run, outcomes),
            *misses_section(run.score),
            *incidents_section(run.score),
            *_method(run),
            *sample_section(run.sample),
        ],
        ATTRIBUTION,
    )


def _lead(run: LiveFireRun) -> str:
    tests, nodes = len(run.tests), len(run.result.stations)
    return (
        f"{wording.count(run.score.rounds_fired, 'round')} of pistol fire in {tests} tests at "
        f"{', '.join(sorted(run.sites))}, heard by {nodes} nodes from real recordings at 12 kHz. "
        f"Seed {run.seed}, broker {run.result.broker}."
    )


def _verdict(run: LiveFireRun) -> Markup:
    if faults := broken_promises(run.result):
        return verdict(f"The records are not whole: {'; '.join(faults)}.", passed=False)
    if run.is_blank:
        text = "Null control: every excerpt was replaced by background, so nothing should be found"
        return verdict(f"{text}. {wording.located_line(run.score)}.", passed=None)
    exact = exact_round_count_tests(run)
    near = wording.share(run.score.within(25.0), run.score.rounds_fired)
    return verdict(
        f"{near} of the rounds within 25 m of the survey; {wording.located_line(run.score)}. "
        f"Rounds counted rightly in {exact} of {len(run.tests)} tests.",
        passed=None,
    )


def _comparison(run: LiveFireRun, outcomes: dict[str, PositionOutcome]) -> list[Markup]:
    near = {
        position: (_within(run, position, 25.0), outcome.fired)
        for position, outcome in outcomes.items()
    }
    near["all"] = (run.score.within(25.0), run.score.rounds_fired)
    errors = error_distribution(
        run.score.errors_m, run.score.rounds_fired, title="Distribution of errors"
    )
    bars = comparison(near, title="Rounds within 25 m by firing position")
    about_errors = "How many of all fired rounds were located within so many metres."
    about_bars = (
        f"Rounds within 25 m of the survey. For comparison, the recording system's own published "
        f"figure: {PUBLISHED_WITHIN_25M_PCT} % of incidents within 25 m, with up to "
        f"{PUBLISHED_SENSORS} sensors; here only the 4 to 6 whose audio is public take part, and "
        f"rounds are counted one by one."
    )
    return [
        heading("How close"),
        side_by_side([figure(errors, about_errors), figure(bars, about_bars)]),
        paragraph("The survey itself is good to about 2.5 m."),
    ]


def _positions(run: LiveFireRun, outcomes: dict[str, PositionOutcome]) -> list[Markup]:
    parts = [
        heading("Firing positions"),
        table(
            _POSITION_COLUMNS,
            [_position_cells(run, position, outcome) for position, outcome in outcomes.items()],
            numbers=frozenset(range(1, len(_POSITION_COLUMNS))),
        ),
        paragraph(
            "rms is of the distances from the survey; sigma 1 and 2 are the axes of the scatter "
            "of the located rounds about their own mean. In the pictures below, left: sensors "
            "(squares, larger the more tests they recorded), located rounds (dots), false "
            "incidents (stars) and the survey (+); right: within 40 m of the survey."
        ),
    ]
    for position in outcomes:
        test = next(one for one in run.tests if one.position == position)
        svg = position_maps(
            [one for one in run.result.stations.values() if one.site == valid_name(position)],
            run.sites[position].local_m(test.survey_m),
            run.rows_of(position),
            [one for one in run.score.false if one.site == valid_name(position)],
            title=f"Firing position {position}",
        )
        parts.append(figure(svg, f"Firing position {position}"))
    return parts


def _position_cells(run: LiveFireRun, position: str, outcome: PositionOutcome) -> tuple[str, ...]:
    return (
        position,
        str(sum(test.position == position for test in run.tests)),
        str(outcome.fired),
        str(outcome.located),
        str(_within(run, position, 15.0)),
        str(_within(run, position, 25.0)),
        str(sum(one.site == valid_name(position) for one in run.score.false)),
        wording.metres(outcome.rms_m),
        wording.metres(outcome.sigma1_m),
        wording.metres(outcome.sigma2_m),
    )


def _within(run: LiveFireRun, position: str, limit_m: float) -> int:
    rows = run.rows_of(position)
    return sum(row.error_m is not None and row.error_m <= limit_m for row in rows)


def _method(run: LiveFireRun) -> list[Markup]:
    return [
        heading("How this was done"),
        paragraph(
            "Each recording became one virtual node: the agent, unchanged, with a clock and a "
            "driver delay of its own, heard 60 s of background made from its own recording and "
            "then the recording. The files are short excerpts padded with zeros, many cut exactly "
            "1 s before the recording system's own arrival, so that their edges alone would give "
            "the place away: up to 0.9 s was cut from the start of each excerpt at random, and "
            "all padding was filled with the sensor's own background."
        ),
        paragraph(
            "Nodes and locator were given sound, time, sensor positions and temperature. For the "
            "score alone, a round's time is the median over the pulses that the recording system "
            "tagged for it of arrival minus travel time; a round without tagged pulses is matched "
            "within its test. An incident is false if nothing was fired within 1 s and 50 m."
        ),
    ]
