"""What was really fired in a scenario. For the score alone: no node and no locator reads this."""

from dataclasses import dataclass

from simulator.grid.scenario import Scenario
from simulator.scene.propagation import Point

GUNFIRE = frozenset({"muzzle_blast"})


@dataclass(frozen=True, slots=True)
class Round:
    """One round: when it was fired, from where, and its place in the file's shots.

    `shot` counts the scenario's shots from 0, `number` the rounds of that shot from 0.
    """

    utc_ns: int
    enu_m: Point
    shot: int
    number: int


def rounds(scenario: Scenario) -> list[Round]:
    """Every round, oldest first. Confusers are not rounds: an incident there is a false one."""
    fired = [
        Round(scenario.utc_ns(at_s), shot.enu_m, index, number)
        for index, shot in enumerate(scenario.shots)
        if shot.kind in GUNFIRE
        for number, at_s in enumerate(shot.times_s())
    ]
    return sorted(fired, key=lambda fired_round: fired_round.utc_ns)
