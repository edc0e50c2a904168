"""What was fired in the live-fire tests, and when. For the score alone: no node reads this.

The surveys hold no usable time. A round's discharge is the median, over the pulses that the
recording system tagged for it, of arrival minus travel time from the survey.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import numpy as np

from agent.core.records.fields import source_of
from agent.core.units import NS_PER_S, sound_speed_mps
from simulator.report.score import Span, TruthRound
from simulator.trials.livefire.dataset import RATE_HZ, Test
from simulator.trials.livefire.neutralise import excerpt_span
from simulator.trials.livefire.sites import Site, valid_name


def rounds(tests: Sequence[Test], sites: Mapping[str, Site]) -> list[TruthRound]:
    """Every round of every test; `utc_ns` is None for a round that no pulses were tagged for."""
    return [
        TruthRound(
            cell=valid_name(test.name),
            utc_ns=utc_ns,
            enu_m=sites[test.position].local_m(test.survey_m),
            label=f"{test.position} {test.name} round {number}/{test.rounds}",
        )
        for test in tests
        for number, utc_ns in enumerate(_discharges_ns(test), start=1)
    ]


def recorded(tests: Iterable[Test]) -> dict[str, Span]:
    """When each node's recording holds sound and not padding, by source: what it could hear."""
    spans = {}
    for test in tests:
        for one in test.recordings:
            first, last = excerpt_span(one.samples)
            source = source_of(*map(valid_name, (test.position, test.name, one.sensor)))
            begin_ns, end_ns = (
                one.start_utc_ns + sample * NS_PER_S // RATE_HZ for sample in (first, last)
            )
            spans[source] = (begin_ns, end_ns)
    return spans


def _discharges_ns(test: Test) -> list[int | None]:
    """One time per round, ascending, the unknown ones last."""
    known = sorted(filter(None, (_discharge_ns(test, uuids) for uuids in test.tuples)))
    unknown = [None] * (test.rounds - len(known))
    return [*known[: test.rounds], *unknown]


def _discharge_ns(test: Test, uuids: Sequence[str]) -> int | None:
    """Pulses that are tagged but not in the file are skipped; None if none is left."""
    speed_mps = sound_speed_mps(test.temperature_c)
    by_uuid = {pulse.uuid: pulse for pulse in test.pulses}
    times_ns = [
        pulse.arrival_utc_ns
        - round(float(np.linalg.norm(pulse.position_m - test.survey_m)) / speed_mps * NS_PER_S)
        for uuid in uuids
        if (pulse := by_uuid.get(uuid)) is not None
    ]
    return round(median(times_ns)) if times_ns else None
