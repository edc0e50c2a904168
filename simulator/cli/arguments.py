"""Arguments that several commands of `earshot-sim` share, and what their values must be.

A value that cannot be is told in one line by argparse; what a file holds is not looked at here.
"""

import argparse
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypedDict

from agent.adapters.host import SystemClock, kernel_discipline
from agent.app.trustedclock import by_host
from agent.core.trust.certificate_time import TrustedTime
from agent.core.units import parse_rfc3339_ns
from agent.errors import LinkError


class TlsFiles(TypedDict):
    """The files of `add_way` and by whose clock they are judged, as MqttOptions names them."""

    ca: Path | None
    cert: Path | None
    key: Path | None
    trusted_utc: Callable[[], TrustedTime]


def add_broker(parser: argparse.ArgumentParser) -> None:
    """Which broker to start for a run."""
    parser.add_argument(
        "--broker", choices=("auto", "mosquitto", "nats"), default="auto", help="(default: auto)"
    )


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Where the figures and the page go."""
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="write a page with a map")


def add_store(parser: argparse.ArgumentParser) -> None:
    """What can be done to a store."""
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    down = verbs.add_parser("down", help="lead it one version down, for the software before")
    letters = verbs.add_parser("letters", help="list the messages that could not be taken")
    letters.add_argument("--json", action="store_true", help="whole, with their bytes")
    around = verbs.add_parser("around", help="search what was told and only listed around a time")
    _add_span(around)
    for verb in (down, letters, around):
        verb.add_argument("store", type=Path, metavar="FILE", help="the locator's store")
    parser.set_defaults(module="store")


def _add_span(parser: argparse.ArgumentParser) -> None:
    """Of whose nodes one asks, and of what time."""
    parser.add_argument("--registry", required=True, type=Path, metavar="FILE")
    parser.add_argument(
        "--at", required=True, type=moment, dest="utc_ns", metavar="TIME", help="RFC 3339, UTC"
    )
    parser.add_argument(
        "--within", type=half_minute, default=10.0, dest="within_s", metavar="SECONDS",
        help="how far around it, at most 30 (default: 10)",
    )  # fmt: skip


def names(text: str) -> frozenset[str]:
    """Names with commas between."""
    found = frozenset(filter(None, text.split(",")))
    if not found:
        raise argparse.ArgumentTypeError("names nothing")
    return found


def seed(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def day(text: str) -> date:
    """A date as YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2021-12-31") from None


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def moment(text: str) -> int:
    """A time in RFC 3339, UTC, as ns."""
    try:
        return parse_rfc3339_ns(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-03-14T21:00:00Z") from None


def half_minute(text: str) -> float:
    """A number of seconds up to 30."""
    seconds = positive(text)
    if seconds > 30.0:
        raise argparse.ArgumentTypeError(f"{text} is more than 30 seconds")
    return seconds


def positive(text: str) -> float:
    """A number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def point(text: str) -> tuple[float, float, float]:
    """WGS 84 latitude and longitude in degrees, height in metres."""
    where, _, height = text.rpartition(",")
    latitude, longitude = place(where)
    try:
        height_m = float(height)
    except ValueError:
        height_m = float("nan")
    if not -500.0 <= height_m <= 9_000.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not LAT,LON,HEIGHT_M")
    return latitude, longitude, height_m


def place(text: str) -> tuple[float, float]:
    """WGS 84 latitude and longitude in degrees."""
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not LAT,LON in degrees") from None
    if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
        raise argparse.ArgumentTypeError(f"{text!r} is not on Earth")
    return latitude, longitude


def add_way(parser: argparse.ArgumentParser) -> None:
    """How to speak to a broker: the version of MQTT, and what one with mutual TLS asks for."""
    parser.add_argument(
        "--protocol", choices=("auto", "3.1.1", "5"), default="auto",
        help="version of MQTT (default: auto, the newest that the broker takes)",
    )  # fmt: skip
    for name, told in (
        ("ca", "the broker's authority"),
        ("certificate", "ours, for a broker that asks for one"),
        ("certificate-key", "the private key of that"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=told)


def tls_files(arguments: argparse.Namespace) -> TlsFiles:
    """What `add_way` was given. Raises LinkError for half a pair."""
    if bool(arguments.certificate) != bool(arguments.certificate_key):
        raise LinkError("--certificate and --certificate-key belong together: give both")
    return TlsFiles(
        ca=arguments.ca,
        cert=arguments.certificate,
        key=arguments.certificate_key,
        trusted_utc=partial(by_host, SystemClock(), kernel_discipline),
    )
