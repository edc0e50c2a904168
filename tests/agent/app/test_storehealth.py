"""The store, as findings: what hinders it is named, with the part to touch."""

import pytest

from agent.app.keeping import StoreState
from agent.app.storehealth import about_store
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
}


def test_of_a_store_at_ease_nothing_is_told() -> None:
    """The link tells how much waits."""
    assert list(about_store(StoreState(**WELL))) == []


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
