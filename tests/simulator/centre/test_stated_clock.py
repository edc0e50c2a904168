"""By which date papers are issued: never by one that cannot be."""

import pytest

import agent
from agent.core.units import NS_PER_S
from simulator.centre.stated_clock import KERNEL, NOBODY, CalendarError, Present, dated

YEAR_NS = 365 * 86_400 * NS_PER_S
RELEASED_NS = agent.RELEASED_UTC_S * NS_PER_S
MS_NS = 10**6


@pytest.mark.parametrize(
    ("after_years", "bound_ns", "not_before_years", "told"),
    [
        (1.0, MS_NS, 0.0, ""),
        (1.0, None, 0.0, ""),
        (-20.0, None, 0.0, "before this software was made"),
        (-20.0, MS_NS, 0.0, "before this software was made"),  # an NTP server that is wrong
        (20.0, None, 0.0, "ten years after this software"),
        (20.0, MS_NS, 0.0, ""),
        (1.0, None, 3.0, "which is long over here"),
        (1.0, MS_NS, 3.0, ""),  # what was done later was dated by a clock that was ahead
    ],
)
def test_a_date_that_cannot_be_dates_nothing(
    after_years: float, bound_ns: int | None, not_before_years: float, told: str
) -> None:
    """Before the software for sure; where nobody vouches also long after it, or long over. One line
    that names the date and the remedy."""
    now_ns = RELEASED_NS + round(after_years * YEAR_NS)
    present = Present(now_ns, bound_ns, NOBODY if bound_ns is None else KERNEL)
    not_before_ns = RELEASED_NS + round(not_before_years * YEAR_NS)
    if not told:
        assert dated(present, not_before_ns) == now_ns
        return
    with pytest.raises(CalendarError, match=told) as refused:
        dated(present, not_before_ns)
    assert "set it" in str(refused.value)
