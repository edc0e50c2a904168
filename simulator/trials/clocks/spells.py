"""When things happen in one draw of a world: spells of load, stalls, outages, sleeps, steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.nature import Happening

Floats = npt.NDArray[np.float64]
_QUIET_AT_FIRST_S, _QUIET_AT_LAST_S, _APART_S = 70.0, 30.0, 5.0


@dataclass(frozen=True, slots=True)
class Spell:
    """From `start_s` to just before `end_s`; `by` is how much."""

    start_s: float
    end_s: float
    by: float

    def holds(self, at_s: float) -> bool:
        """Whether it goes on at that moment."""
        return self.start_s <= at_s < self.end_s


def drawn_spells(
    given: Iterable[Happening], duration_s: float, rng: np.random.Generator
) -> list[Spell]:
    """This seed's spells, in order; moments that are not given lie anywhere but at the ends."""
    spells = []
    for one in given:
        for _ in range(round(draw(one.count, rng))):
            last_s = max(duration_s - _QUIET_AT_LAST_S, _QUIET_AT_FIRST_S)
            anywhere = (_QUIET_AT_FIRST_S, last_s)
            start_s = draw(anywhere if one.at_s is None else one.at_s, rng)
            spells.append(Spell(start_s, start_s + draw(one.for_s, rng), draw(one.by, rng)))
    return sorted(spells, key=lambda spell: spell.start_s)


def inside(times_s: Floats, spell: Spell) -> npt.NDArray[np.bool_]:
    """Which of the times lie in the spell."""
    return (times_s >= spell.start_s) & (times_s < spell.end_s)


def factor_at(times_s: Floats, spells: Sequence[Spell]) -> Floats:
    """By what the spells multiply something at each time; 1 outside of them."""
    factor = np.ones(len(times_s))
    for spell in spells:
        factor[inside(times_s, spell)] = max(spell.by, 1.0)
    return factor


def apart(spells: Iterable[Spell]) -> list[Spell]:
    """Spells in order, without those that begin before another is over for five seconds."""
    kept: list[Spell] = []
    for spell in sorted(spells, key=lambda one: one.start_s):
        if not kept or spell.start_s > kept[-1].end_s + _APART_S:
            kept.append(spell)
    return kept
