"""Numbers of a world that nobody tells the node: given as a range, drawn anew for each seed.

In a file such a number is one of four things: `40` (always that), `[10, 40]` (anything between,
evenly), `{ log = [10, 4000] }` (anything between, each decade as likely), or
`{ one_of = [365, 435, 512] }`.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
_TWO = Meta(
    min_length=2, max_length=2
)  # a fixed tuple beside a bounded number crashes msgspec 0.22


class Law(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either of both ways to draw a number that is no plain range."""

    one_of: Annotated[tuple[float, ...], Meta(min_length=1)] | None = None
    log: Annotated[tuple[Positive, ...], _TWO] | None = None

    def __post_init__(self) -> None:
        if (self.one_of is None) == (self.log is None):
            raise ValueError("give either one_of or log")
        if self.log is not None and self.log[0] > self.log[1]:
            raise ValueError("log needs the smaller number first")


class LawNotNegative(Law, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for what cannot be below zero."""

    one_of: Annotated[tuple[NotNegative, ...], Meta(min_length=1)] | None = None


Drawn = float | Annotated[tuple[float, ...], _TWO] | Law
DrawnNotNegative = NotNegative | Annotated[tuple[NotNegative, ...], _TWO] | LawNotNegative


def draw(given: Drawn | DrawnNotNegative, rng: np.random.Generator) -> float:
    """This seed's number."""
    if isinstance(given, Law):
        if given.one_of is not None:
            return float(rng.choice(given.one_of))
        low, high = np.log(given.log or (1.0, 1.0))
        return float(np.exp(rng.uniform(low, high)))
    if isinstance(given, tuple):
        return float(rng.uniform(min(given), max(given)))
    return float(given)
