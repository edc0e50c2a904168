"""What spoke for a sound's being a shot, and what against it, by the names of the features.

An effect is told against the usual: by how much the log-odds would fall were this one number at
its median. Effects of trees do not add up to the score; they say where it would turn.
"""

from dataclasses import dataclass

import numpy as np

from agent.core.hearing.classification import shipped_model
from agent.core.hearing.inputs import ASPECTS, INPUTS, NAMES, described
from agent.core.records.kinds import Features

_LEAST = 0.05


@dataclass(frozen=True, slots=True)
class Effect:
    """`log_odds` that a number adds by being `value` and not `usual`."""

    name: str
    value: float
    usual: float
    log_odds: float

    def told(self) -> str:
        """In words: what it is, what is usual, and how much it speaks for (+) or against (-)."""
        return f"{self.name}: {self.value:g} (usually {self.usual:g}) {self.log_odds:+.2f}"


def effects(features: Features, most: int = 5) -> tuple[list[Effect], list[Effect]]:
    """What spoke most for a shot, and what most against it, strongest first."""
    model, values = shipped_model(), described(features)
    each = model.effects(features, np.eye(INPUTS, dtype=np.bool_))
    order = [int(one) for one in np.argsort(each) if abs(each[one]) >= _LEAST]
    made = [
        Effect(NAMES[one], round(float(values[one]), 2), float(model.usual[one]), float(each[one]))
        for one in order
    ]
    against = [one for one in made if one.log_odds < 0.0][:most]
    speaks_for = [one for one in reversed(made) if one.log_odds > 0.0][:most]
    return speaks_for, against


def aspects(features: Features) -> dict[str, float]:
    """The same for whole aspects of the sound: past, attack, colour, tail, tone."""
    groups = np.array([np.isin(np.arange(INPUTS), places) for places in ASPECTS.values()])
    each = shipped_model().effects(features, groups)
    return {name: round(float(one), 2) for name, one in zip(ASPECTS, each, strict=True)}
