"""`earshot-sim store`: what can be done to a locator's store while the locator is stopped."""

import argparse
import json
from dataclasses import asdict

from agent.adapters.outbox import step_down
from agent.core.units import NS_PER_S
from simulator.centre.locator import registry
from simulator.centre.locator.letters import letters_in
from simulator.centre.locator.missed import answers_in
from simulator.centre.locator.schema import DOWNS, STEPS
from simulator.cli.locate import incident_line
from simulator.cli.screen import printed
from simulator.report.wording import count


def command(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    if arguments.verb == "letters":
        return _letters(arguments)
    if arguments.verb == "around":
        return _around(arguments)
    version = step_down(arguments.store, STEPS, DOWNS)
    printed(f"{arguments.store}: now of version {version}, for the software before this one")
    return 0


def _letters(arguments: argparse.Namespace) -> int:
    """One line each; as JSON also the bytes, of which those that are no text are escaped."""
    letters = letters_in(arguments.store)
    if arguments.json:
        fields = [asdict(one) for one in letters]
        for one in fields:
            one["message"] = one["message"].decode("utf-8", "backslashreplace")
        print(json.dumps(fields))
        return 0
    for letter in letters:
        print(
            f"{letter.last_at} {letter.source or 'nobody known'} {letter.digest[:16]} "
            f"{letter.size} bytes, {letter.times} times: {letter.reason}"
        )
    print(f"{count(len(letters), 'dead letter')}")
    return 0


def _around(arguments: argparse.Namespace) -> int:
    """Every place at which four nodes agree, cell by cell, beside how many chance makes."""
    known = registry.load(arguments.registry)
    within_ns = round(arguments.within_s * NS_PER_S)
    for one in answers_in(arguments.store, known, arguments.utc_ns, within_ns):
        for incident in one.incidents:
            listed = {
                found.source
                for round_ in incident.rounds
                for found in round_.arrivals
                if found.is_listed
            }
            print(f"{incident_line(incident)}, {count(len(listed), 'node')} only listed it")
        print(
            f"{one.site}/{one.cell}: {count(len(one.incidents), 'answer')} from {one.told} sounds "
            f"told and {one.listed} listed; chance makes {one.by_chance:.1f} of as many"
        )
    return 0
