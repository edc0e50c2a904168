"""Which synthetic sounds there are to learn from that are no shot, and how many of each."""

from collections.abc import Iterator, Mapping

from simulator.training import bangs, handling, scenes, struck
from simulator.training.cache import TAKEN_BY, code_digest
from simulator.training.scenes import Make

_ALL: Mapping[Make, int] = {
    **dict.fromkeys(
        (
            scenes.bark,
            scenes.horn,
            scenes.hammer,
            scenes.clatter,
            scenes.hooves,
            scenes.rustle,
            struck.glass,
            struck.metal,
            struck.wood,
            struck.hail,
            struck.steps,
            struck.claps,
            struck.door,
            bangs.firework,
            bangs.backfire,
            bangs.charge,
            bangs.siren,
        ),
        50,
    ),
    scenes.knocks: 100,
    handling.handling: 150,
}
_PACKAGE = "simulator.training"


def confusers(at_once: int) -> Iterator[tuple[Make, int, int, str]]:
    """Who makes a kind, the first and the count of up to `at_once` scenes, and the code's digest.

    The digest is of what this kind is made by, so that a new kind leaves the others as they are.
    """
    for make, count in _ALL.items():
        module = make.__module__.rpartition(".")[2]
        digest = code_digest(*TAKEN_BY, (_PACKAGE, tuple(sorted({"scenes", "struck", module}))))
        for first in range(0, count, at_once):
            yield make, first, min(at_once, count - first), digest
