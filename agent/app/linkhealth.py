"""What the node knows of its way out: broker, receipts, backlog and certificate, as findings.

One look a second at most, on the node's thread; it only reads counters that others keep.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.core.records.findings import Finding, found, healthy, unknown
from agent.core.trust.certificate_time import Span, TrustedTime, judge
from agent.core.units import NS_PER_S

GRACE_NS = 60 * NS_PER_S
RECEIPT_NS = 120 * NS_PER_S
MANY_WAIT = 500
SOON_NS = 30 * 86_400 * NS_PER_S
_NS_PER_DAY = 86_400 * NS_PER_S


class Counters(Protocol):
    """The uplink's counts that are looked at."""

    receipts: int
    is_locator_older: bool


class Way(Protocol):
    """The uplink, as far as it is looked at from another thread."""

    @property
    def trouble(self) -> str:
        """Why nothing can be delivered; empty while all is well."""

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted us; it may refuse what is sent all the same."""

    @property
    def counters(self) -> Counters:
        """What it did since the start."""


@dataclass(frozen=True, slots=True)
class Paper:
    """The node's certificate: when it counts, or why that is not known."""

    span: Span | None
    fault: str = ""


class LinkHealth:
    """A `health.Reporter`. `backlog` tells how many records wait, `now` what time is sure."""

    def __init__(
        self,
        way: Way,
        broker_url: str,
        backlog: Callable[[], int],
        paper: Paper | None,
        now: Callable[[], TrustedTime],
    ) -> None:
        self._way, self._url, self._backlog = way, broker_url, backlog
        self._paper, self._now = paper, now
        self._began_ns: int | None = None
        self._up_ns: int | None = None
        self._receipts, self._receipt_ns = 0, 0

    def __call__(self, host_ns: int) -> Iterator[Finding]:
        """The findings at a host time, which never goes back."""
        if self._began_ns is None:
            self._began_ns = self._receipt_ns = host_ns
        counters = self._way.counters
        if counters.receipts != self._receipts:
            self._receipts, self._receipt_ns = counters.receipts, host_ns
        is_up, trouble, backlog = self._way.is_up, self._way.trouble, self._backlog()
        if is_up:
            self._up_ns = host_ns
        yield self._about_broker(host_ns, "" if is_up else trouble)
        yield self._about_receipts(host_ns, is_up, trouble, backlog)
        waiting = f"{backlog} records wait" if backlog != 1 else "1 record waits"
        yield found("backlog", waiting) if backlog >= MANY_WAIT else healthy("outbox", waiting)
        if self._paper is not None:
            yield about_certificate(self._paper, self._now())
        if counters.is_locator_older:
            yield found("older-locator")

    def _about_broker(self, host_ns: int, trouble: str) -> Finding:
        if not trouble:
            return healthy("broker", f"connected to {self._url}")
        began_ns = self._began_ns or 0
        last_ns = self._up_ns if self._up_ns is not None else began_ns
        if host_ns - last_ns < GRACE_NS and self._up_ns is None:
            return unknown("broker", trouble)
        return found("broker-away", trouble)

    def _about_receipts(self, host_ns: int, is_up: bool, trouble: str, backlog: int) -> Finding:
        age_s = (host_ns - self._receipt_ns) // NS_PER_S
        if backlog == 0 and self._receipts:
            self._receipt_ns = host_ns  # nothing is waited for
            return healthy("receipts", "everything is receipted")
        if not is_up:
            self._receipt_ns = host_ns  # it cannot be the locator's fault
            return unknown("receipts", "no broker")
        if trouble:
            return found("no-receipts", trouble)
        if host_ns - self._receipt_ns < RECEIPT_NS:
            return (
                healthy("receipts", f"the last {age_s} s ago")
                if self._receipts
                else unknown("receipts", f"none yet, for {age_s} s")
            )
        return found("no-receipts", f"none for {age_s} s")


def about_certificate(paper: Paper, now: TrustedTime) -> Finding:
    """How long a certificate lasts, by what time it is for sure."""
    if paper.span is None:
        return unknown("certificate", paper.fault)
    judged = judge(paper.span, now)
    left_days = (paper.span.until_ns - now.earliest_ns) // _NS_PER_DAY
    if judged.verdict == "ended":
        return found("certificate-ended", f"{-left_days} days ago")
    told = f"{left_days} days left"
    if now.latest_ns is None:
        return healthy("certificate", f"at most {told}")
    if paper.span.until_ns - now.earliest_ns < SOON_NS:
        return found("certificate-ends", told)
    return healthy("certificate", told)


def paper_in(path: Path) -> Paper:
    """The certificate in a PEM file."""
    from cryptography import x509

    from agent.core.trust.certificate_time import span_of

    try:
        return Paper(span_of("node", x509.load_pem_x509_certificate(path.read_bytes())))
    except OSError as error:
        return Paper(None, f"{path}: {error.strerror}")
    except ValueError:
        return Paper(None, f"{path}: is no certificate")
