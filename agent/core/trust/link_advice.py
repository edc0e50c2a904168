"""What ended a connection or refused a message, in words for the technician: what to put right.

Only words: `adapters.mqtt` meets the trouble, and knows the broker's name.
"""

from agent.core.trust.certificate_time import Clock, Judged, Kind
from agent.core.units import moment_of

_ASK = "look at the broker's log"
_NOT_OURS = "broker and node disagree on MQTT: look at the broker's log, and at what lies between"
_REFUSALS = {
    0x80: _ASK,
    0x81: _NOT_OURS,
    0x82: _NOT_OURS,
    0x83: _ASK,
    0x10: "is the locator running, and connected to this broker?",
    0x84: "set broker.protocol to a version that the broker speaks",
    0x85: "the broker's listener wants the client id that this node's certificate names",
    0x86: "the broker asks for a password: give nodes a listener that asks for certificates",
    0x87: "name this node in the broker's access list (ACL)",
    0x88: "the broker is starting or overloaded: look at its log if it stays so",
    0x89: "the broker is overloaded: look at its log if it stays so",
    0x8A: "the broker has banned this node: look at its log",
    0x8B: "the broker is being stopped or restarted",
    0x8C: "the broker asks for another way to log in: give nodes a listener for certificates",
    0x8D: "the network is too slow or was away: check antenna, cable and modem",
    0x8E: "another client has this node's name: is a second node set up with the same node.id?",
    0x90: "let the broker take topics that begin with earshot/v1/",
    0x95: "raise the broker's limit on the size of packets to 64 KiB",
    0x97: "raise the broker's quota for this node",
    0x98: "someone ended it at the broker: ask who runs the broker",
    0x99: _ASK,
    0x9A: "let the broker retain messages",
    0x9B: "let the broker take QoS 1",
    0x9C: "the broker has moved for now: ask who runs it for its address",
    0x9D: "the broker has moved: write its new address into broker.url",
    0x9F: "too many connections at once: raise the broker's limit if it stays so",
}
_CERTIFICATES = {
    18: "it vouches for itself: is broker.ca the authority of this broker?",
    19: "its authority is not ours: is broker.ca the authority of this broker?",
    20: "its authority is not ours: is broker.ca the authority of this broker?",
    23: "it was revoked: give the broker a new one",
    62: "it is for another name: write the name in it into broker.url",
    64: "it is for another address: write the name in it into broker.url",
}
_ENROL = "enrol this node again"
_CLOCKS: dict[Clock, tuple[str, str]] = {
    "satellites": ("this node's clock (satellites)", ""),
    "host": ("this host's clock", ", unless that clock is wrong"),
    "unvouched": ("this host's clock, for which nobody vouches,", ", or set that clock"),
    "last known": (
        "the last time this node knew for good",
        ", or if that time was wrong remove known-utc from store.directory and restart",
    ),
    "software": ("the date of this node's software", ""),
}
_ENDED: dict[Kind, tuple[str, str]] = {
    "broker": ("it", "renew it at the broker"),
    "authority": ("its authority {name}", "renew the authority, and with it broker.ca"),
    "list": (
        "the list of revoked certificates in broker.ca",
        "enrol this node again for a new one",
    ),
    "node": ("this node's certificate", _ENROL),
}
_EARLY = "make it anew on a computer whose clock is right"
_WRONG_PORT = "the port does not speak TLS: write mqtt:// for mqtts://, or the port that does"
_TLS = {
    "CERTIFICATE_EXPIRED": f"this node's certificate has expired by the broker's clock: {_ENROL}",
    "CERTIFICATE_REVOKED": f"this node's certificate was revoked: {_ENROL}, if it may return",
    "CERTIFICATE_REQUIRED": "the broker asks for a certificate: set broker.certificate and its key",
    "CERTIFICATE_UNKNOWN": f"the broker does not trust this node's certificate: {_ENROL}",
    "BAD_CERTIFICATE": f"the broker does not trust this node's certificate: {_ENROL}",
    "UNSUPPORTED_CERTIFICATE": f"this node's certificate is not one for clients: {_ENROL}",
    "UNKNOWN_CA": f"another authority made this node's certificate: {_ENROL} for this broker",
    "ACCESS_DENIED": "the broker shuts this node out: look at its log",
    "DECRYPT_ERROR": "broker.certificate and broker.certificate_key do not belong together",
    "HANDSHAKE_FAILURE": "no cipher in common, or the broker asks for a certificate",
    "PROTOCOL_VERSION": "the broker speaks only TLS below 1.2: update it",
    "UNSUPPORTED_PROTOCOL": "the broker speaks only TLS below 1.2: update it",
    "WRONG_VERSION_NUMBER": _WRONG_PORT,
    "RECORD_LAYER_FAILURE": _WRONG_PORT,
    "UNEXPECTED_EOF_WHILE_READING": _WRONG_PORT,
}


def refusal(code: int, name: str) -> str:
    """An MQTT 5 reason `code` that the specification calls `name`."""
    return _with_advice(name, _REFUSALS.get(code))


def distrust(verify_code: int, told: str) -> str:
    """Why OpenSSL does not trust the broker's certificate, by its X509_V_ERR code."""
    return _CERTIFICATES.get(verify_code, told)


def untimely(judged: Judged) -> str:
    """Why a paper that is refused does not count now, by whose clock, and what to do."""
    what, remedy = _ENDED[judged.span.kind]
    if judged.verdict == "early":
        edge, remedy = f"begins only {_text(judged.span.since_ns)}", _EARLY
    else:
        edge = f"ended {_text(judged.span.until_ns)}"
    unless = _CLOCKS[judged.now.clock][1]
    return f"{what.format(name=judged.span.name)} {edge}, and {_now(judged)}: {remedy}{unless}"


def unjudged(judged: Judged) -> str:
    """What was taken though nobody knows yet whether it counts already."""
    what = _ENDED[judged.span.kind][0].format(name=judged.span.name)
    return (
        f"{what} begins only {_text(judged.span.since_ns)}, and {_now(judged)}: "
        "whether it counts yet cannot be known, so it is taken"
    )


def tls_failure(reason: str, own: Judged | None = None) -> str:
    """An OpenSSL reason such as SSLV3_ALERT_CERTIFICATE_EXPIRED.

    `own` is what this node's clock says of its certificate, which the broker judged by its own.
    """
    plain = reason.partition("_ALERT_")[2] or reason
    advice = _TLS.get(plain)
    if own and plain == "CERTIFICATE_EXPIRED":
        advice = _expired_there(own)
    if own and plain == "BAD_CERTIFICATE":
        advice = (
            "the broker does not trust this node's certificate, or its clock is before "
            f"{_text(own.span.since_ns)}, when that begins: {_ENROL}, or set that clock"
        )
    return _with_advice(plain.replace("_", " ").lower(), advice)


def _expired_there(own: Judged) -> str:
    """A broker says the same of a certificate, and of its list of revoked ones, that has ended."""
    if own.verdict == "ended":
        return untimely(own)
    lasts = f"by the broker's clock, but this node's lasts until {_text(own.span.until_ns)}"
    if own.now.latest_ns is None:
        return f"{lasts}, and {_now(own)}: {_ENROL}, or set the broker's clock if it is wrong"
    return f"{lasts}, and {_now(own)}: set the broker's clock, or give it the latest list (ca.crl)"


def _now(judged: Judged) -> str:
    """The clock and its time; the line must not change with every minute of an outage."""
    now, span = judged.now, judged.span
    name = _CLOCKS[now.clock][0]
    edge_ns = span.until_ns if judged.verdict == "ended" else span.since_ns
    is_near = _text(edge_ns)[:10] == _text(now.earliest_ns)[:10]
    told = _text(now.earliest_ns)[: None if is_near else 10]
    return f"by {name} it is {'at least ' if now.latest_ns is None else ''}{told}"


def _text(utc_ns: int) -> str:
    return f"{moment_of(utc_ns):%Y-%m-%d %H:%M} UTC"


def _with_advice(told: str, advice: str | None) -> str:
    return f"{told}: {advice}" if advice else told
