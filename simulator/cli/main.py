"""The `earshot-sim` command: its words, and how errors reach the person at the keyboard.

A command's module is imported only when it is run: none pays for what another needs.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import agent
from agent.errors import EarshotError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an EarshotError becomes one line on stderr."""
    try:
        arguments = _parser().parse_args(argv)
        exit_code: int = import_module(f"simulator.cli.{arguments.module}").command(arguments)
    except EarshotError as error:
        print(f"earshot-sim: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="earshot-sim",
        description="Run Earshot's nodes on scenes and recordings, and locate what they heard.",
    )
    parser.add_argument("--version", action="version", version=f"earshot-sim {agent.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands.add_parser("run", help="run a scenario; exit 1 if a limit of it is missed"))
    _add_livefire(commands.add_parser("livefire", help="replay the public live-fire dataset"))
    _add_locate(commands.add_parser("locate", help="run the reference locator on its own"))
    _add_replay(commands.add_parser("replay", help="feed one recording through one node"))
    _add_corpus(commands.add_parser("corpus", help="try the node's hearing on labelled clips"))
    _add_clocks(commands.add_parser("clocks", help="try the node's clock in its scenarios"))
    _add_timing(commands.add_parser("timing", help="hold the onset picker to the physical limit"))
    _add_registrar(commands.add_parser("registrar", help="enrol nodes, and revoke them"))
    listing = commands.add_parser("scenarios", help="list the scenarios that are packaged")
    listing.set_defaults(module="scenarios")
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", help="a file, or a packaged one's name")
    parser.add_argument(
        "--mode",
        choices=("virtual", "fast", "live"),
        default="fast",
        help="virtual: no broker, deterministic; fast: a real broker, sound as fast as it can be "
        "heard; live: everything in real time (default: fast)",
    )
    _add_broker(parser)
    _add_outputs(parser)
    parser.set_defaults(module="run")


def _add_livefire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DATASET_DIR")
    parser.add_argument(
        "--positions", type=_names, metavar="FP1,FP2", help="only these firing positions"
    )
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument(
        "--blank", action="store_true", help="null control: every excerpt becomes background"
    )
    parser.add_argument(
        "--pulses", action="store_true", help="the ears alone, against the recording system's own"
    )
    parser.add_argument("--mode", choices=("virtual", "fast"), default="fast")
    _add_broker(parser)
    _add_outputs(parser)
    parser.set_defaults(module="livefire")


def _add_locate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtt://HOST[:PORT]")
    parser.add_argument("--registry", required=True, type=Path, metavar="FILE")
    for name, default in (("store", "earshot-locator.sqlite"), ("key", "earshot-locator.pem")):
        parser.add_argument(
            f"--{name}", type=Path, default=Path(default), metavar="FILE",
            help=f"made if absent (default: {default})",
        )  # fmt: skip
    parser.add_argument(
        "--for", type=_positive, dest="for_s", metavar="SECONDS", help="(default: until stopped)"
    )
    parser.set_defaults(module="locate")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="one channel, WAV or FLAC")
    parser.add_argument("--at", required=True, type=_place, metavar="LAT,LON", help="WGS 84")
    parser.add_argument(
        "--start", metavar="UTC", help="of its first sample, 2026-03-14T21:00:00Z (default: now)"
    )
    parser.add_argument("--json", action="store_true", help="print the envelopes, one a line")
    parser.set_defaults(module="replay")


def _add_registrar(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    init = verbs.add_parser("init", help="found a registrar: keys, authority, broker and users")
    init.add_argument("--broker", required=True, metavar="URL", help="mqtts://HOST[:PORT]")
    init.add_argument(
        "--host", action="append", default=[], metavar="NAME", help="the broker's other names"
    )
    sign = verbs.add_parser("sign", help="answer a node's request")
    sign.add_argument("request", type=Path, metavar="REQUEST")
    sign.add_argument("--at", type=_point, metavar="LAT,LON,HEIGHT_M", help="WGS 84, if new")
    sign.add_argument(
        "--sigma-m", type=_positive, default=1.0, metavar="M", help="of that (default: 1)"
    )
    trust = sign.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", metavar="WORDS", help="as read at the node (default: asks)")
    trust.add_argument("--yes", action="store_true", help="do not compare: for simulations only")
    sign.set_defaults(new_key="refused")
    for new_key, told in (
        ("rotated", "its evidence key was rotated by command"),
        ("replaced", "node or evidence key are lost: revoke what the old key got"),
    ):
        sign.add_argument(
            f"--{new_key}", dest="new_key", action="store_const", const=new_key, help=told
        )
    sign.add_argument("--out", type=Path, metavar="FILE", help="(default: REQUEST.response)")
    verbs.add_parser("list", help="who holds a certificate, and until when")
    revoke = verbs.add_parser("revoke", help="what somebody has got counts no more")
    revoke.add_argument("name", metavar="SITE/CELL/NODE|ROLE")
    show = verbs.add_parser("show", help="the words of its key, or the history of a node")
    show.add_argument("name", nargs="?", metavar="SITE/CELL/NODE")
    for verb in verbs.choices.values():
        verb.add_argument(
            "--dir", type=Path, default=Path("registrar"), help="(default: registrar)"
        )
    parser.set_defaults(module="registrar")


def _add_clocks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="(default: all quick ones)")
    parser.add_argument(
        "--seeds", type=_seed, default=100, metavar="N", help="pooled seeds (default: 100)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.set_defaults(module="clocks")


def _add_timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pulses", type=_count, default=1000, metavar="N", help="in each cell (default: 1000)"
    )
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="write a page")
    parser.set_defaults(module="timing")


def _add_corpus(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="holds a manifest.csv")
    parser.add_argument("--seed", type=_seed, default=1, metavar="N", help="(default: 1)")
    parser.add_argument(
        "--embeddings", type=_count, default=5, metavar="N",
        help="streets that each clip is heard in (default: 5)",
    )  # fmt: skip
    _add_outputs(parser)
    parser.set_defaults(module="corpus")


def _add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--broker", choices=("auto", "mosquitto", "nats"), default="auto", help="(default: auto)"
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.add_argument("--report", type=Path, metavar="OUT.html", help="write a page with a map")


def _names(text: str) -> frozenset[str]:
    names = frozenset(filter(None, text.split(",")))
    if not names:
        raise argparse.ArgumentTypeError("names nothing")
    return names


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def _point(text: str) -> tuple[float, float, float]:
    place, _, height = text.rpartition(",")
    latitude, longitude = _place(place)
    try:
        height_m = float(height)
    except ValueError:
        height_m = float("nan")
    if not -500.0 <= height_m <= 9_000.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not LAT,LON,HEIGHT_M")
    return latitude, longitude, height_m


def _place(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not LAT,LON in degrees") from None
    if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 180.0):
        raise argparse.ArgumentTypeError(f"{text!r} is not on Earth")
    return latitude, longitude


if __name__ == "__main__":
    sys.exit(main())
