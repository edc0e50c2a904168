"""Out of range: a microphone that lacks a part of the band is named within a day, no sound is."""

import pytest

from agent.core.hearing import Onset
from agent.core.hearing.classification import IMPULSIVE, OUT_OF_RANGE
from agent.core.hearing.learned_range import LearnedRange
from agent.core.records.findings import Finding
from agent.core.records.kinds import Verdict
from tests.support.hearing import features_like

RATE_HZ = 48_000
Hours = dict[int, tuple[int, float]]  # hour -> triggers in each sixth minute, share out of range


def onset(at_s: float, *, is_out: bool) -> Onset:
    verdict = Verdict(accepted=True, score=0.5, reason=OUT_OF_RANGE if is_out else IMPULSIVE)
    return Onset(at_s * RATE_HZ, 1.0, 8.0, 9.0, features_like(-30.0, (-1,) * 19), verdict)


def after(hours: Hours) -> tuple[Finding, ...]:
    """What is found after these hours, of which each sixth minute hears something."""
    heard = LearnedRange(RATE_HZ)
    for hour, (count, share) in hours.items():
        for minute in range(0, 60, 6):
            for number in range(count):
                at_s = 3600.0 * hour + 60.0 * minute + number
                heard.on_onsets([onset(at_s, is_out=number < share * count)])
    return heard.findings()


def test_a_microphone_that_lacks_a_part_of_the_band_is_named() -> None:
    """Within half a day, with the part and what to do; it goes when the capsule is a good one."""
    (finding,) = after(dict.fromkeys(range(14), (5, 0.96)))
    assert (finding.fault, finding.status) == ("out-of-range", "warning")
    assert "capsule" in finding.part
    assert "5.4 kHz" in finding.remedy
    mended = {hour: (5, 0.96 if hour < 14 else 0.0) for hour in range(14 + 24)}
    assert after(mended) == ()


@pytest.mark.parametrize(
    "hours",
    [
        dict.fromkeys(range(24), (5, 0.2)),
        dict.fromkeys(range(7), (5, 1.0)),
        {hour: (5, 1.0 if hour < 9 else 0.0) for hour in range(24)},
        {hour: (40 if hour == 3 else 2, 1.0 if hour == 3 else 0.0) for hour in range(24)},
        {2: (5, 1.0), 20: (5, 1.0)},
        {},
    ],
    ids=[
        "birds among others",
        "a short run",
        "crickets all night",
        "one hour's din",
        "two",
        "none",
    ],
)
def test_no_sound_alone_is_taken_for_a_fault(hours: Hours) -> None:
    """Not what a day brings of one kind, however much of it."""
    assert after(hours) == ()


def test_one_odd_sound_counts_a_minute_however_often_it_comes() -> None:
    """A thousand of them in a minute of each hour do not outvote what else is heard."""
    heard = LearnedRange(RATE_HZ)
    for hour in range(24):
        heard.on_onsets(onset(3600.0 * hour + number / 20, is_out=True) for number in range(1_000))
        for minute in (5, 10, 15):
            heard.on_onsets([onset(3600.0 * hour + 60.0 * minute, is_out=False)])
    assert heard.findings() == ()


def test_the_hopeless_were_heard_too() -> None:
    """Where most of what is heard is hopeless and within the range, the microphone is sound."""

    def told(hopeless: int) -> tuple[Finding, ...]:
        heard = LearnedRange(RATE_HZ)
        for minute in range(0, 14 * 60, 6):
            first = 60 * minute * RATE_HZ
            passed = [first + number * RATE_HZ for number in range(hopeless)]
            heard.on_onsets([onset(60.0 * minute + 1.5, is_out=True)], passed)
        return heard.findings()

    assert told(hopeless=0)
    assert not told(hopeless=3)
