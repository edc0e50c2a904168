"""Whether a certificate counts now, by a clock that may know no more than "it is not before then".

Pure judgement over the times in X.509 papers. Who signed them, for which name, and whether they
were revoked, TLS has checked before; the words for a person are `link_advice`'s.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from cryptography import x509

from agent.core.units import ns_of

Clock = Literal["satellites", "host", "unvouched", "last known", "software"]
Kind = Literal["broker", "authority", "list", "node"]
Verdict = Literal["valid", "unknown", "early", "ended"]
_BEST_FIRST: tuple[Verdict, ...] = ("valid", "unknown", "early", "ended")
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class TrustedTime(NamedTuple):
    """The present lies between these two (UTC, ns since 1970), by the word of `clock`.

    `latest_ns` is None where nothing bounds it above: it is at least `earliest_ns`.
    """

    earliest_ns: int
    latest_ns: int | None
    clock: Clock


class Span(NamedTuple):
    """From when until when (UTC, ns, both included) a paper counts; `name` is its subject's."""

    kind: Kind
    name: str
    since_ns: int
    until_ns: int


class Judged(NamedTuple):
    """What became of a paper at a time."""

    verdict: Verdict
    span: Span
    now: TrustedTime

    @property
    def is_refused(self) -> bool:
        """It does not count for certain. What cannot be judged yet gets the benefit."""
        return self.verdict in ("early", "ended")


def judge(span: Span, now: TrustedTime) -> Judged:
    """ "ended" and "early" are certain; "unknown" if it begins later than anyone knows it to be."""
    if now.earliest_ns > span.until_ns:
        return Judged("ended", span, now)
    if now.earliest_ns >= span.since_ns:
        return Judged("valid", span, now)
    if now.latest_ns is None:
        return Judged("unknown", span, now)
    return Judged("early" if now.latest_ns < span.since_ns else "valid", span, now)


def best(judged: Iterable[Judged]) -> Judged:
    """The verdict on papers that may stand for one another. Raises ValueError for none."""
    return min(judged, key=lambda one: _BEST_FIRST.index(one.verdict))


def span_of(kind: Kind, certificate: x509.Certificate) -> Span:
    """When a certificate counts. Raises ValueError for times that are none."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Span(kind, _name(certificate.subject), ns_of(since), ns_of(until))


def list_span_of(revoked: x509.CertificateRevocationList) -> Span:
    """Until when a list of revoked certificates counts. Raises ValueError.

    One from the future counts: it knows more, not less, and its end is what shows its age.
    """
    return Span("list", _name(revoked.issuer), 0, ns_of(revoked.next_update_utc or _NEVER))


def are_twins(one: x509.Certificate, other: x509.Certificate) -> bool:
    """Of one name and key: what one of them has signed, so has the other (a renewed authority)."""
    return one.subject == other.subject and one.public_key() == other.public_key()


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()
