"""What is said of the way out: broker, receipts and certificate, each named for what it is."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from agent.app.linkhealth import GRACE_NS, MANY_WAIT, RECEIPT_NS, LinkHealth, Paper, paper_in
from agent.core.trust.certificate_time import Span, TrustedTime
from agent.core.units import NS_PER_S

DAY_NS = 86_400 * NS_PER_S
NOW_NS = 1_795_000_000 * NS_PER_S


@dataclass
class Way:
    """An uplink's face."""

    trouble: str = ""
    waiting: int = 0
    counters: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(receipts=0, is_locator_older=False)
    )

    @property
    def is_up(self) -> bool:
        return not self.trouble or self.trouble.startswith("broker refused")


@pytest.fixture
def way() -> Way:
    return Way()


def health(way: Way, left_ns: int | None = 90 * DAY_NS, is_exact: bool = True) -> LinkHealth:
    paper = None if left_ns is None else Paper(Span("node", "CN=n1", 0, NOW_NS + left_ns))
    now = TrustedTime(NOW_NS, NOW_NS if is_exact else None, "host")
    return LinkHealth(way, "mqtts://b", lambda: way.waiting, paper, lambda: now)


def told(link: LinkHealth, host_ns: int) -> dict[str, tuple[str, str | None]]:
    return {one.check: (one.status, one.fault) for one in link(host_ns)}


def test_a_link_that_works_is_healthy(way: Way) -> None:
    """Connected, receipted, little waits, a certificate for months."""
    link = health(way)
    way.counters.receipts = 3
    assert {status for status, _ in told(link, 0).values()} == {"healthy"}


def test_a_broker_that_was_never_there_is_unknown_for_a_minute(way: Way) -> None:
    """Then it is a fault; one that goes away is one at once."""
    link, way.trouble = health(way), "not connected yet"
    assert told(link, 0)["broker"] == ("unknown", None)
    assert told(link, GRACE_NS)["broker"] == ("warning", "broker-away")
    way.trouble = ""
    assert told(link, GRACE_NS + 1)["broker"] == ("healthy", None)
    way.trouble = "connection refused"
    assert told(link, GRACE_NS + 2)["broker"] == ("warning", "broker-away")


def test_a_locator_that_does_not_answer_is_told_apart_from_a_broker(way: Way) -> None:
    """While the broker is away nobody blames the locator."""
    link, way.waiting = health(way), 5
    assert told(link, 0)["receipts"] == ("unknown", None)
    assert told(link, RECEIPT_NS)["receipts"] == ("warning", "no-receipts")
    way.counters.receipts = 1
    assert told(link, RECEIPT_NS + 1)["receipts"] == ("healthy", None)
    way.trouble = "connection refused"
    assert told(link, 5 * RECEIPT_NS)["receipts"] == ("unknown", None)
    way.trouble = ""
    assert told(link, 5 * RECEIPT_NS + 1)["receipts"] == ("healthy", None)
    assert told(link, 7 * RECEIPT_NS)["receipts"] == ("warning", "no-receipts")


def test_a_broker_that_refuses_is_not_away(way: Way) -> None:
    """Nobody listens at its other end: that is the locator's matter, not the modem's."""
    link, way.waiting = health(way), 5
    way.trouble = "broker refused a record: No matching subscribers: is the locator running?"
    said = told(link, 0)
    assert said["broker"] == ("healthy", None)
    assert said["receipts"] == ("warning", "no-receipts")


def test_nothing_that_waits_needs_no_receipt(way: Way) -> None:
    """A quiet night is no fault of the locator's."""
    link = health(way)
    way.counters.receipts = 1
    told(link, 0)
    assert told(link, 100 * RECEIPT_NS)["receipts"] == ("healthy", None)


def test_many_that_wait_are_told(way: Way) -> None:
    """And how many."""
    way.waiting = MANY_WAIT
    assert told(health(way), 0)["outbox"] == ("warning", "backlog")


@pytest.mark.parametrize(
    ("left_ns", "is_exact", "said"),
    [
        (-DAY_NS, True, ("critical", "certificate-ended")),
        (-DAY_NS, False, ("critical", "certificate-ended")),
        (10 * DAY_NS, True, ("warning", "certificate-ends")),
        (90 * DAY_NS, True, ("healthy", None)),
        (10 * DAY_NS, False, ("healthy", None)),
    ],
)
def test_a_certificate_is_judged_by_what_time_it_is_for_sure(
    way: Way, left_ns: int, is_exact: bool, said: tuple[str, str | None]
) -> None:
    """A node that only knows "not before" says at most how many days are left."""
    assert told(health(way, left_ns, is_exact), 0)["certificate"] == said


def test_without_tls_there_is_no_certificate_to_tell_of(way: Way, tmp_path) -> None:
    """And one that cannot be read is unknown, with the file."""
    assert "certificate" not in told(health(way, None), 0)
    broken = LinkHealth(way, "b", lambda: 0, paper_in(tmp_path / "node.crt"), lambda: None)
    assert told(broken, 0)["certificate"] == ("unknown", None)
    (tmp_path / "node.crt").write_text("no certificate")
    assert "is no certificate" in paper_in(tmp_path / "node.crt").fault


def test_an_older_locator_is_told(way: Way) -> None:
    """What it does not know waits: someone must update it."""
    way.counters.is_locator_older = True
    assert told(health(way), 0)["version"] == ("warning", "older-locator")
