"""Fifty thousand commands at one desk: the right ones once each, the wrong ones never."""

import random

import pytest

from agent.core.units import NS_PER_S
from tests.agent.app.test_commanddesk import WRONG, Room, sealed

VERBS = ("ping", "report-now", "set-config", "rotate-key")
FATES = ("obeyed", "replayed", "mutilated", "wrong")


@pytest.mark.torture
def test_fifty_thousand_commands_have_the_effects_they_should() -> None:
    """In any order, each well-made command is done once; no other one has any effect."""
    rng, room = random.Random(8), Room()
    done, effects = 0, 0
    for _ in range(50_000):
        room.wait(2 * NS_PER_S)
        room.said.clear()
        verb, fate = rng.choice(VERBS), rng.choice(FATES)
        raw, sigma_ns = sealed(room.command(verb)), 1
        if fate == "replayed":
            room.take(raw, verb)
            done += 1
        elif fate == "mutilated":
            mutilated = bytearray(raw)
            mutilated[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            raw = bytes(mutilated)
        elif fate == "wrong":
            raw, verb, sigma_ns = WRONG[rng.choice(sorted(WRONG))](room)
        done += fate == "obeyed"
        room.take(raw, verb, sigma_ns)
        effects += sum(getattr(one, "outcome", "") == "done" for one in room.said)
    print(f"50 000 commands, {done} to be obeyed, {effects} were")
    assert effects == done
    assert len(room.restarts) <= done
