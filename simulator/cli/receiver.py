"""`earshot-sim receiver`: a recorded satellite receiver, as a node would believe it.

Exit code 0 whatever is believed, for the reader to judge; 2 for a file that cannot be read.
"""

import argparse

from simulator.cli.screen import check_outputs, printed, write_json
from simulator.trials.receiver import Heard, play


def command(arguments: argparse.Namespace) -> int:
    """Play each recording and tell what was believed, refused, and why."""
    check_outputs(arguments.json)
    told = []
    for path in arguments.logs:
        heard = play(path, arguments.baud, arguments.not_before)
        told.append(heard.told())
        for line in lines(heard):
            printed(line)
    if arguments.json:
        write_json(arguments.json, {"logs": told})
    return 0


def lines(heard: Heard) -> list[str]:
    """What to show of one recording."""
    said = heard.told()
    words = ", ".join(f"{word} {count}" for word, count in heard.words.most_common(8))
    shown = [
        f"{heard.name}: " + (
            f"locked after {heard.locked_after_s:g} s"
            if heard.locked_after_s is not None
            else f"not locked: {heard.reason}"
        ),
        f"  heard: {words or 'no sentence and no UBX frame'}; {heard.epochs} epochs",
    ]  # fmt: skip
    if heard.believed:
        shown.append(f"  believed: {heard.believed} seconds, {said['first']} to {said['last']}")
        left = ", ".join(heard.alternatives)
        shown.append(f"  which second: {'confirmed' if heard.confirmed else f'open: {left}'}")
    refused = ", ".join(f"{why} ({count})" for why, count in heard.refused.most_common())
    void = f"report is void ({heard.void})" if heard.void else ""
    if refused or void:
        shown.append(f"  refused: {', '.join(one for one in (void, refused) if one)}")
    shown.extend(f"  doubt: {doubt}" for doubt in heard.doubts)
    return shown
