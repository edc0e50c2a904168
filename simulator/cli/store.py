"""`earshot-sim store`: what can be done to a locator's store while the locator is stopped."""

import argparse

from agent.adapters.outbox import step_down
from simulator.centre.locator.schema import DOWNS, STEPS
from simulator.cli.screen import printed


def command(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    version = step_down(arguments.store, STEPS, DOWNS)
    printed(f"{arguments.store}: now of version {version}, for the software before this one")
    return 0
