"""Where to connect and how: options, address and TLS, and why it cannot be done, for a person."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from agent.adapters.mqtt.manner import V5, V311, Manners
from agent.adapters.mqtt.validity import TrustedUtc, Untimely, Validity, host_time
from agent.core.trust import link_advice
from agent.errors import LinkError
from agent.ports import Will

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PROTOCOLS = {"auto": (V5, V311), "5": (V5,), "3.1.1": (V311,)}


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """How to reach a broker. `url` is mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS.

    `session_expiry_s` 0 asks for a clean session; above 0 the broker keeps subscriptions and
    queued messages while we are away (MQTT 3.1.1: for as long as it likes). `will` tells, at each
    connection, what the broker publishes, retained, when that dies. `ca`, `cert` and `key` are PEM
    files for TLS; without `ca` the system's authorities count, and a list of revoked certificates
    (CRL) in that file counts too. Their times are judged by `trusted_utc`, which any thread may
    call. A connection that is silent for twice `keepalive_s` is given up.
    """

    url: str
    client_id: str
    protocol: Literal["auto", "3.1.1", "5"] = "auto"
    subscriptions: tuple[str, ...] = ()
    will: Will | None = None
    session_expiry_s: int = 0
    keepalive_s: int = 12
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    trusted_utc: TrustedUtc = host_time


@dataclass(frozen=True, slots=True)
class Route:
    """Where to connect and how; `validity` is there where `tls` is."""

    options: MqttOptions
    host: str
    port: int
    tls: ssl.SSLContext | None
    validity: Validity | None
    manners: Manners

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def tls_failure(self, reason: str) -> str:
        """What an OpenSSL reason means here, in one line."""
        own = self.validity.own() if self.validity else None
        return f"no TLS with {self}: {link_advice.tls_failure(reason, own)}"


def route_of(options: MqttOptions) -> Route:
    """The route that `options` describe. Raises LinkError for a URL or files that cannot work."""
    host, port, secure = _parse_url(options.url)
    tls, validity = _tls_context(options) if secure else (None, None)
    versions, has_will = _PROTOCOLS[options.protocol], options.will is not None
    manners = Manners(versions, options.client_id, has_will=has_will)
    return Route(options, host, port, tls, validity, manners)


def explain(error: Exception, route: Route) -> str:
    """Why there is no connection over `route`, and what to do about it, in one line."""
    match error:
        case ConnectionRefusedError():
            return f"connection refused by {route}: is the broker running?"
        case TimeoutError():
            return f"no answer from {route}: check the network and the address"
        case socket.gaierror():
            return f"{route.host} is unknown: check the name and the DNS"
        case ssl.SSLCertVerificationError():
            told = link_advice.distrust(error.verify_code, error.verify_message)
            return f"certificate of {route} is not to be trusted: {told}"
        case Untimely():
            return f"certificate of {route} is not to be trusted: {error}"
        case ssl.SSLError():
            return route.tls_failure(error.reason or "the other end hung up")
        case OSError():
            told = error.strerror or str(error)
            return f"{route} cannot be reached: {told}: check antenna, cable and modem"
        case _:
            return f"network thread of {route} died: {type(error).__name__}: {error}"


def _parse_url(url: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise LinkError(f"{url!r} is no broker: write mqtt://HOST[:PORT] or mqtts://...") from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise LinkError(f"{url!r} is no broker: write mqtt://HOST[:PORT] and nothing more")
    return parts.hostname, port, parts.scheme == "mqtts"


def _tls_context(options: MqttOptions) -> tuple[ssl.SSLContext, Validity]:
    try:
        context = ssl.create_default_context(cafile=options.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if options.cert:
            context.load_cert_chain(options.cert, options.key)
        return context, Validity(context, options.trusted_utc, options.ca, options.cert)
    except (OSError, ValueError) as error:
        files = ", ".join(str(path) for path in (options.ca, options.cert, options.key) if path)
        told = (isinstance(error, OSError) and error.strerror) or error
        raise LinkError(f"TLS files {files} cannot be used: {told}") from None
