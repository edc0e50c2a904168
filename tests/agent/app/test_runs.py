"""A run of gaps, or of changes of the clock's state, is one record that counts them."""

from msgspec import UNSET

from agent.app.runs import AT_ONCE, PERIOD_NS, Runs
from agent.core.records.kinds import Gap, TimebaseChange
from agent.core.units import NS_PER_S

BLOCK, RATE_HZ = 1024, 48_000
BLOCK_NS = BLOCK * NS_PER_S // RATE_HZ


def gap(number: int, reason: str = "input overflow") -> Gap:
    """Every other block is lost."""
    return Gap(first_sample=2 * number * BLOCK, lost_samples=BLOCK, reason=reason)


def change(number: int) -> TimebaseChange:
    states = ("locked", "holdover")
    before, after = states[number % 2], states[(number + 1) % 2]
    return TimebaseChange(before=before, after=after, reason=f"reason {number}")


def test_a_few_are_told_as_they_are() -> None:
    """At once, each by itself, with nothing in them that older readers do not know."""
    runs = Runs()
    for number in range(AT_ONCE):
        (told,) = runs.gap(gap(number), number * BLOCK_NS)
        assert (told, told.gaps, told.until_sample) == (gap(number), UNSET, UNSET)
        (changed,) = runs.change(change(number), number * BLOCK_NS)
        assert (changed, changed.changes) == (change(number), UNSET)


def test_three_days_of_a_gap_a_block_are_a_record_a_minute() -> None:
    """All of them counted, every lost sample too, and none told of twice."""
    runs, told, minutes = Runs(), list[Gap](), 60
    number = 0
    for number in range(minutes * 60 * RATE_HZ // (2 * BLOCK)):
        host_ns = 2 * number * BLOCK_NS
        told += [one for one in runs.due(host_ns) if isinstance(one, Gap)]
        told += runs.gap(gap(number), host_ns)
    told += [one for one in runs.rest() if isinstance(one, Gap)]
    assert len(told) <= AT_ONCE + minutes + 1
    assert sum(1 if one.gaps is UNSET else one.gaps for one in told) == number + 1
    assert sum(one.lost_samples for one in told) == (number + 1) * BLOCK
    ends = [one.until_sample for one in told if one.until_sample is not UNSET]
    assert ends[-1] == gap(number).first_sample + BLOCK
    firsts = [one.first_sample for one in told]
    assert firsts == sorted(firsts)


def test_a_clock_that_flaps_is_told_from_its_first_state_to_its_last() -> None:
    """With the latest reason, and how often it changed in between."""
    runs = Runs()
    for number in range(AT_ONCE):
        assert list(runs.change(change(number), number))
    for number in range(AT_ONCE, AT_ONCE + 5):
        assert not list(runs.change(change(number), number))
    assert not list(runs.due(PERIOD_NS - 1))
    (told,) = runs.due(PERIOD_NS)
    assert isinstance(told, TimebaseChange)
    assert (told.before, told.after, told.changes) == ("locked", "holdover", 5)
    assert told.reason == f"reason {AT_ONCE + 4}"
    assert not list(runs.due(2 * PERIOD_NS))


def test_reasons_are_not_lost_and_not_repeated() -> None:
    """What a run of gaps came from is told, each once."""
    runs = Runs()
    for number in range(AT_ONCE):
        assert list(runs.gap(gap(number), 0))
    for number, reason in enumerate(("a", "b", "a", "b")):
        assert not list(runs.gap(gap(number, reason), 0))
    (told,) = runs.due(PERIOD_NS)
    assert isinstance(told, Gap)
    assert (told.reason, told.gaps) == ("a; b", 4)


def test_calm_brings_back_what_may_be_told_at_once() -> None:
    """An hour later a single gap is told in the moment it is found."""
    runs = Runs()
    for number in range(100):
        list(runs.gap(gap(number), number))
    list(runs.rest())
    hour_ns = 3_600 * NS_PER_S
    for number in range(AT_ONCE):
        (told,) = runs.gap(gap(number), hour_ns + number)
        assert told.gaps is UNSET
