"""The times in certificates, held against a clock that can be trusted instead of the host's.

OpenSSL would ask CLOCK_REALTIME, which says 1970 on a board without a battery. So it is told to
look at everything else alone, and a connection is judged here before a byte of MQTT leaves. What
the verdict is, is `core.trust.certificate_time`'s; where the present is known from, the caller's.
"""

import logging
import re
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography import x509

from agent.core.trust import link_advice
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

TrustedUtc = Callable[[], TrustedTime]
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, of certificates and lists alike
_LISTS = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)

log = logging.getLogger("earshot")


class Untimely(Exception):
    """A paper of the broker's does not count now; the message is for a person."""


def host_time() -> TrustedTime:
    """CLOCK_REALTIME at its word: what counts for a caller who names no clock."""
    now_ns = time.time_ns()
    return TrustedTime(now_ns, now_ns, "unvouched")


class Validity:
    """Takes the question of time away from `context`, and answers it by `trusted_utc`.

    `ca` and `cert` are the PEM files that `context` was made with. Lists of revoked certificates
    in `ca` count from now on, so that each certificate of a broker needs its authority's list.
    Raises OSError, and ValueError for a list that cannot be read.
    """

    def __init__(
        self, context: ssl.SSLContext, trusted_utc: TrustedUtc, ca: Path | None, cert: Path | None
    ) -> None:
        self._context, self._trusted_utc = context, trusted_utc
        lists = _LISTS.findall(ca.read_bytes()) if ca else []
        self._lists = [x509.load_pem_x509_crl(pem) for pem in lists]
        own = x509.load_pem_x509_certificate(cert.read_bytes()) if cert else None
        self._own = span_of("node", own) if own else None
        self._taken: set[Span] = set()
        context.verify_flags |= _NO_CHECK_TIME
        if lists:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        context.sslsocket_class = _socket_class(self._check)

    def own(self) -> Judged | None:
        """Our own certificate by our own clock, which need not be the broker's opinion."""
        return judge(self._own, self._trusted_utc()) if self._own else None

    def _check(self, chain: list[bytes]) -> None:
        """All papers that vouch for the broker, its own certificate first. Raises Untimely."""
        now = self._trusted_utc()
        try:
            for judged in self._judge([x509.load_der_x509_certificate(der) for der in chain], now):
                if judged.is_refused:
                    raise Untimely(link_advice.untimely(judged))
                if judged.verdict == "unknown" and judged.span not in self._taken:
                    self._taken.add(judged.span)
                    log.info("certificate of the broker: %s", link_advice.unjudged(judged))
        except (ValueError, TypeError) as error:
            raise Untimely(f"it cannot be read: {error}: renew it at the broker") from None

    def _judge(self, chain: list[x509.Certificate], now: TrustedTime) -> Iterator[Judged]:
        leaf, *authorities = chain
        yield judge(span_of("broker", leaf), now)
        for authority in authorities:
            judged = judge(span_of("authority", authority), now)
            yield best((judged, *self._twins(authority, now))) if judged.is_refused else judged
        lists = [one for one in self._lists if one.issuer == leaf.issuer]
        if lists:
            yield judge(list_span_of(max(lists, key=lambda one: one.last_update_utc)), now)

    def _twins(self, authority: x509.Certificate, now: TrustedTime) -> Iterator[Judged]:
        """OpenSSL takes the first authority that fits, though a renewed one stands beside it."""
        for der in self._context.get_ca_certs(binary_form=True):
            twin = x509.load_der_x509_certificate(der)
            if are_twins(twin, authority):
                yield judge(span_of("authority", twin), now)


def _socket_class(check: Callable[[list[bytes]], None]) -> type[ssl.SSLSocket]:
    class CheckedSocket(ssl.SSLSocket):
        """No handshake is complete before `check` has seen the chain; a failed one is closed."""

        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
                check(_verified_chain(self))
            except BaseException:
                self.close()  # paho would leave it to the garbage collector
                raise

    return CheckedSocket


def _verified_chain(tls: ssl.SSLSocket) -> list[bytes]:
    """The broker's certificate, then who vouches for whom up to one we trust; in DER."""
    if sys.version_info >= (3, 13):
        return tls.get_verified_chain()
    inner: Any = getattr(tls, "_sslobj")  # noqa: B009  # its type does not tell of it
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_verified_chain()]
