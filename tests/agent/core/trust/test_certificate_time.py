"""When a certificate counts: certain refusals only, and no more knowledge than there is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from agent.core.trust.certificate_time import (
    Judged,
    Span,
    TrustedTime,
    are_twins,
    best,
    judge,
    list_span_of,
    span_of,
)
from agent.core.trust.link_advice import tls_failure, unjudged, untimely
from agent.core.units import NS_PER_S, moment_of, ns_of
from tests.support.pki import DAY, Authority

DAY_NS = 86_400 * NS_PER_S
NEW_YEAR_NS = ns_of(datetime(2027, 1, 1, tzinfo=UTC))
times = st.integers(0, 200)


@st.composite
def spans(draw) -> Span:
    since, until = sorted((draw(times), draw(times)))
    return Span("broker", "CN=b", since, until)


@given(spans(), times, st.none() | times)
def test_what_is_refused_is_refused_at_every_moment_it_may_be(span, earliest, width) -> None:
    """Of all presents that fit what is known, not one finds a refused paper good; a paper that
    is taken is good at one of them at least."""
    latest = None if width is None else earliest + width
    judged = judge(span, TrustedTime(earliest, latest, "host"))
    possible = range(earliest, (latest if latest is not None else 1_000) + 1)
    good = [now for now in possible if span.since_ns <= now <= span.until_ns]
    assert judged.is_refused == (not good)


@given(spans(), times)
def test_an_exact_clock_leaves_nothing_open(span, now) -> None:
    """Good from the first to the last moment, both included; else early or ended."""
    verdict = judge(span, TrustedTime(now, now, "satellites")).verdict
    expected = "early" if now < span.since_ns else "ended" if now > span.until_ns else "valid"
    assert verdict == expected


@given(spans(), times, times, st.none() | times)
def test_time_going_by_never_takes_an_end_back(span, earliest, later, width) -> None:
    """What has ended by a lower bound has ended by every higher one, whatever bounds it above."""
    first = judge(span, TrustedTime(earliest, None, "last known"))
    latest = None if width is None else earliest + later + width
    second = judge(span, TrustedTime(earliest + later, latest, "satellites"))
    if first.verdict == "ended":
        assert second.verdict == "ended"


@given(spans(), times)
def test_a_lower_bound_alone_never_calls_a_paper_early(span, earliest) -> None:
    """It may be later than anyone here knows."""
    judged = judge(span, TrustedTime(earliest, None, "software"))
    assert judged.verdict != "early"
    assert (judged.verdict == "unknown") == (earliest < span.since_ns)


@given(st.lists(spans(), min_size=1, max_size=4), times)
def test_of_papers_that_stand_for_one_another_one_good_one_is_enough(several, now) -> None:
    """A renewed authority counts though the old one lies beside it, in any order."""
    judged = [judge(span, TrustedTime(now, now, "host")) for span in several]
    assert best(judged).is_refused == all(one.is_refused for one in judged)


def test_the_times_are_those_in_the_papers(tmp_path: Path) -> None:
    """Of a certificate both ends; of a list its end, since one from the future knows more."""
    now = datetime(2027, 5, 1, 12, 30, tzinfo=UTC)
    authority = Authority(tmp_path, now)
    pem = authority.issue("b", since=now - DAY, until=now + 9 * DAY)["cert"].read_bytes()
    span = span_of("broker", x509.load_pem_x509_certificate(pem))
    assert span == Span("broker", "CN=b", ns_of(now - DAY), ns_of(now + 9 * DAY))
    authority.publish_list(now + 30 * DAY, since=now + 2 * DAY)
    revoked = list_span_of(x509.load_pem_x509_crl(authority.crl.read_bytes()))
    assert (revoked.kind, revoked.since_ns, revoked.until_ns) == ("list", 0, ns_of(now + 30 * DAY))
    assert moment_of(ns_of(now)) == now


def test_a_twin_has_the_same_name_and_key(tmp_path: Path) -> None:
    """Renewed with its key it is one; another authority of that name is none."""
    now = datetime(2027, 5, 1, tzinfo=UTC)
    ours = Authority(tmp_path / "ours", now)
    theirs = Authority(tmp_path / "theirs" / "ours", now)
    old, renewed, other = (
        x509.load_pem_x509_certificate(path.read_bytes())
        for path in (ours.ca, ours.renew(now + 99 * DAY), theirs.ca)
    )
    assert old.subject == other.subject
    assert are_twins(old, renewed)
    assert not are_twins(old, other)


def at(days: float, *, clock="satellites", exact=True, kind="broker") -> Judged:
    """A paper of the year 2027, judged so many days after its beginning."""
    now_ns = NEW_YEAR_NS + round(days * DAY_NS)
    span = Span(kind, "CN=town", NEW_YEAR_NS, NEW_YEAR_NS + 365 * DAY_NS)
    return judge(span, TrustedTime(now_ns, now_ns if exact else None, clock))


@pytest.mark.parametrize(
    ("judged", "told"),
    [
        (
            at(-30),
            "it begins only 2027-01-01 00:00 UTC, and by this node's clock (satellites) it is "
            "2026-12-02: make it anew on a computer whose clock is right",
        ),
        (
            at(-0.25),
            "it begins only 2027-01-01 00:00 UTC, and by this node's clock (satellites) it is "
            "2026-12-31: make it anew on a computer whose clock is right",
        ),
        (
            at(365.5, clock="host"),
            "it ended 2028-01-01 00:00 UTC, and by this host's clock it is 2028-01-01 12:00 UTC: "
            "renew it at the broker, unless that clock is wrong",
        ),
        (
            at(400, clock="software", exact=False, kind="authority"),
            "its authority CN=town ended 2028-01-01 00:00 UTC, and by the date of this node's "
            "software it is at least 2028-02-05: renew the authority, and with it broker.ca",
        ),
        (
            at(400, clock="last known", exact=False, kind="list"),
            "the list of revoked certificates in broker.ca ended 2028-01-01 00:00 UTC, and by the "
            "last time this node knew for good it is at least 2028-02-05: enrol this node again "
            "for a new one, or if that time was wrong remove known-utc from store.directory and "
            "restart",
        ),
    ],
)
def test_a_refusal_names_the_clock_and_the_remedy(judged: Judged, told: str) -> None:
    """One line: which paper, when, by whose clock, what to do. The line does not change every
    minute, or the log would."""
    assert untimely(judged) == told


def test_what_is_taken_unjudged_is_said() -> None:
    """Which clock does not know better."""
    assert unjudged(at(-30, clock="software", exact=False)) == (
        "it begins only 2027-01-01 00:00 UTC, and by the date of this node's software it is at "
        "least 2026-12-02: whether it counts yet cannot be known, so it is taken"
    )


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (None, "this node's certificate has expired by the broker's clock: enrol this node again"),
        (
            at(400, kind="node"),
            "this node's certificate ended 2028-01-01 00:00 UTC, and by this node's clock "
            "(satellites) it is 2028-02-05: enrol this node again",
        ),
        (
            at(10, kind="node"),
            "by the broker's clock, but this node's lasts until 2028-01-01 00:00 UTC, and by this "
            "node's clock (satellites) it is 2027-01-11: set the broker's clock, or give it the "
            "latest list (ca.crl)",
        ),
        (
            at(10, clock="software", exact=False, kind="node"),
            "by the broker's clock, but this node's lasts until 2028-01-01 00:00 UTC, and by the "
            "date of this node's software it is at least 2027-01-11: enrol this node again, or "
            "set the broker's clock if it is wrong",
        ),
    ],
)
def test_the_brokers_verdict_is_by_the_brokers_clock(own: Judged | None, told: str) -> None:
    """Ours may know better: then it is the broker that has to be put right."""
    line = tls_failure("SSLV3_ALERT_CERTIFICATE_EXPIRED", own)
    assert line == f"certificate expired: {told}"


def test_a_broker_in_the_past_takes_our_certificate_for_bad() -> None:
    """OpenSSL says no more than that when a certificate is not valid yet."""
    line = tls_failure("SSLV3_ALERT_BAD_CERTIFICATE", at(10, kind="node"))
    assert line == (
        "bad certificate: the broker does not trust this node's certificate, or its clock is "
        "before 2027-01-01 00:00 UTC, when that begins: enrol this node again, or set that clock"
    )
