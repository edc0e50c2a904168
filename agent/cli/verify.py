"""`earshot verify`: check an export of records offline, with public keys alone.

Reads JSON Lines, one envelope a line; never a live store. Signatures, order and what is missing;
then what follows from the records' own numbers: scores, and what was thinned. Exit code 0 when all
holds, 1 when something does not, 2 when it cannot be checked.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.core.units import NS_PER_S, parse_rfc3339_ns, rfc3339
from agent.errors import ExportError

_TOLD_FAULTS = 200
_WITHIN_S = 10.0


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "verify",
        help="check exported records offline",
        epilog="exit codes: 0 all holds, 1 something does not, 2 cannot be checked",
    )
    parser.add_argument("exports", nargs="+", type=Path, metavar="FILE|DIR")
    parser.add_argument(
        "--keys",
        type=Path,
        required=True,
        metavar="REGISTRY",
        help="the nodes' public keys: the locator's registry",
    )
    parser.add_argument(
        "--locator",
        type=Path,
        action="append",
        default=[],
        metavar="KEY",
        help="public key that signs receipts (PEM); repeat for more",
    )
    parser.add_argument(
        "--around",
        type=_moment,
        metavar="TIME",
        help="show what was heard around this time (RFC 3339, UTC): told or only listed",
    )
    parser.add_argument(
        "--within",
        type=_span,
        default=round(_WITHIN_S * NS_PER_S),
        metavar="SECONDS",
        help=f"how far around it (default: {_WITHIN_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(command=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from agent.adapters.keyfile import load_public_key_file
    from agent.adapters.keyring import load_keyring
    from agent.cli.around import Around
    from agent.core.hearing.repetition import Repetition
    from agent.core.records.audit import Auditor, Fault
    from agent.core.records.envelope import key_id
    from agent.core.records.kinds import Body

    files = [file for path in arguments.exports for file in _files(path)]
    keyring = load_keyring(arguments.keys)
    locators = [load_public_key_file(path) for path in arguments.locator]
    repetition, around = Repetition(), Around(arguments.around, arguments.within)

    def read(where: str, body: Body) -> Iterator[Fault]:
        around.record(body)
        yield from repetition.record(where, body)

    auditor = Auditor(
        keyring.keys, {key_id(key): key for key in locators}, keyring.revoked_at, read
    )
    faults = [
        fault
        for where, raw in _lines(files)
        if _RECEIPT in raw
        for fault in auditor.receipt(where, raw)
    ]
    for where, raw in _lines(files):
        if _RECEIPT not in raw:
            faults += auditor.record(where, raw)
    faults += (*auditor.finish(), *repetition.finish())
    if not auditor.chains and not faults:
        raise ExportError(f"{', '.join(map(str, files))}: no record in it")
    show = _as_json if arguments.json else _as_text
    show(auditor, repetition, around, faults)
    return 1 if faults else 0


_RECEIPT = b'"application/vnd.earshot.receipt.'


def _moment(text: str) -> int:
    """An argument that is a time, in ns since 1970."""
    try:
        return parse_rfc3339_ns(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write it like 2026-11-27T18:00:00Z, in UTC"
        ) from None


def _span(text: str) -> int:
    """An argument that is a number of seconds, in ns."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds <= 86_400.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to a day (86400)")
    return round(seconds * NS_PER_S)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*.jsonl") if file.is_file())
        if not found:
            raise ExportError(f"{path}: holds no .jsonl file")
        return found
    if not path.is_file():
        raise ExportError(f"{path}: no such file")
    return [path]


def _lines(files: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if raw := line.rstrip(b"\r\n"):
                        yield f"{path}:{number}", raw
        except OSError as error:
            raise ExportError(f"{path}: cannot be read: {error.strerror}") from None


def _as_text(auditor: Any, repetition: Any, around: Any, faults: list[Any]) -> None:
    for fault in faults[:_TOLD_FAULTS]:
        print(f"{fault.where}: {fault.what}")
    if len(faults) > _TOLD_FAULTS:
        print(f"... and {len(faults) - _TOLD_FAULTS} faults more")
    for note in auditor.notes[:_TOLD_FAULTS]:
        print(f"{note.where}: note: {note.what}")
    for chain in auditor.chains.values():
        kinds = ", ".join(f"{count} {kind}" for kind, count in chain.kinds.most_common())
        span = f", {chain.first_time} to {chain.last_time}" if chain.first_time else ""
        print(
            f"{chain.source} chain {chain.chain[:8]}: records {chain.first_seq} to "
            f"{chain.last_seq}{span} ({kinds})"
        )
    for line in (*repetition.lines(), *around.lines()):
        print(line)
    total = sum(chain.records for chain in auditor.chains.values())
    verdict = f"{len(faults)} faults" if faults else "all of it holds"
    receipts = f", {auditor.receipts_read} receipts" if auditor.receipts_read else ""
    print(f"{total} records in {len(auditor.chains)} chains{receipts}: {verdict}")
    if not auditor.receipts_read:
        print(
            "without receipts (and --locator) an end that was cut off cannot be seen",
            file=sys.stderr,
        )


def _as_json(auditor: Any, repetition: Any, around: Any, faults: list[Any]) -> None:
    chains = [
        {
            "source": chain.source,
            "chain": chain.chain,
            "first_seq": chain.first_seq,
            "last_seq": chain.last_seq,
            "head": chain.head,
            "kinds": dict(chain.kinds),
        }
        for chain in auditor.chains.values()
    ]
    heard = [asdict(one) | {"time": rfc3339(one.utc_ns)} for one in sorted(around.heard)]
    print(
        json.dumps(
            {
                "chains": chains,
                "receipts": auditor.receipts_read,
                "scores": repetition.figures(),
                "faults": [_told(fault) for fault in faults],
                "notes": [_told(note) for note in auditor.notes],
            }
            | ({} if around.utc_ns is None else {"around": heard})
        )
    )


def _told(fault: Any) -> dict[str, str]:
    return {"where": fault.where, "what": fault.what}
