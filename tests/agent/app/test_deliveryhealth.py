"""Store and link, as findings: what hinders delivery is named, with the part to touch."""

import pytest

from agent.app.deliveryhealth import LinkWatch, about_store
from agent.app.keeping import StoreState
from agent.core.units import NS_PER_S

WELL = {
    "waiting": 0,
    "lost": 0,
    "backlog": 3,
    "free_share": 0.9,
    "busy_ns": 0,
    "slowest_ns": 0,
    "advanced_ns": 0,
    "trouble": "",
}
STORES = {
    "disk-failing": {"trouble": "outbox.sqlite: database or disk is full"},
    "disk-slow": {"slowest_ns": 3 * NS_PER_S},
    "records-lost": {"lost": 12},
    "outbox-full": {"free_share": 0.01},
    "backlog": {"backlog": 5000},
}


def test_a_store_at_ease_is_healthy() -> None:
    (told,) = about_store(StoreState(**WELL))
    assert (told.check, told.status) == ("outbox", "healthy")
    assert "3 records" in told.value


@pytest.mark.parametrize("fault", STORES)
def test_each_trouble_of_a_store_has_its_name(fault: str) -> None:
    """And only that one."""
    told = list(about_store(StoreState(**WELL | STORES[fault])))
    assert [one.fault for one in told if one.fault] == [fault]


def test_a_disk_that_hangs_is_failing() -> None:
    """It says nothing any more, so nobody else can tell."""
    told = list(about_store(StoreState(**WELL | {"busy_ns": 11 * NS_PER_S})))
    assert told[0].fault == "disk-failing"
    assert "11 s" in told[0].value


class Line:
    def __init__(self) -> None:
        self.trouble, self.delivered, self.now_ns = "", 0, 0
        self.watch = LinkWatch(lambda: self.trouble, lambda: self.delivered)

    def faults(self, seconds: int, backlog: int = 5) -> list[str | None]:
        for _ in range(seconds):
            self.now_ns += NS_PER_S
            told = list(self.watch.findings(self.now_ns, backlog))
        return [one.fault or one.status for one in told]


def test_a_broker_that_is_away_is_told_after_half_a_minute() -> None:
    """And a connection that comes back is healthy at once."""
    line = Line()
    line.trouble = "connection refused"
    assert line.faults(29) == ["unknown", "unknown"]
    assert line.faults(5)[0] == "broker-away"
    line.trouble = ""
    assert line.faults(1)[0] == "healthy"


def test_receipts_that_do_not_come_are_told_while_the_broker_answers() -> None:
    """Three minutes with records waiting; without any, or without a link, it is no fault."""
    line = Line()
    assert line.faults(600, backlog=0) == ["healthy", "unknown"]
    assert line.faults(185) == ["healthy", "no-receipts"]
    line.delivered = 5
    assert line.faults(1) == ["healthy", "healthy"]
    line.trouble = "broken pipe"
    assert line.faults(600)[1] == "healthy"
