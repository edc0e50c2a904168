"""When to try again."""

import random

import pytest

from agent.core.trust.backoff import BackOff, doubling
from agent.core.units import NS_PER_S


def test_delays_stay_between_one_second_and_a_minute() -> None:
    """However often it fails: never more than one attempt a second, never a minute's silence."""
    back_off = BackOff(random.Random(1))
    delays_ns = [back_off.next_delay_ns() for _ in range(2_000)]
    assert min(delays_ns) >= NS_PER_S
    assert 55 * NS_PER_S < max(delays_ns) <= 60 * NS_PER_S


def test_delays_grow_and_start_again_after_success() -> None:
    """Long outages are met with patience, which a success resets."""
    many = [BackOff(random.Random(seed)) for seed in range(300)]
    means_s = [sum(one.next_delay_ns() for one in many) / len(many) / NS_PER_S for _ in range(4)]
    assert means_s == pytest.approx([6.0, 11.0, 21.0, 30.5], rel=0.12)
    for one in many:
        one.reset()
    assert max(one.next_delay_ns() for one in many) <= 11 * NS_PER_S


@pytest.mark.parametrize("city", range(25))
def test_a_city_does_not_stampede(city: int) -> None:
    """Of 200 nodes that lose one broker together no second, wherever it begins, sees over 40."""
    seeds = range(200 * city, 200 * city + 200)
    returns_ns = sorted(BackOff(random.Random(seed)).next_delay_ns() for seed in seeds)
    for since_ns in returns_ns:
        assert sum(since_ns <= one < since_ns + NS_PER_S for one in returns_ns) <= 40


@pytest.mark.parametrize(("tries", "expected"), [(1, 30), (2, 60), (3, 120), (40, 1_800)])
def test_doubling_stops_at_its_cap(tries: int, expected: int) -> None:
    """The n-th try waits twice as long as the one before, up to the cap."""
    assert doubling(30, tries, 1_800) == expected
