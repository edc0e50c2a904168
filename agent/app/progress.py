"""How far each part of the node has come, so that a part that hangs is noticed.

Each part advances its own count whenever it has done a turn of its work, idle turns included: what
is asked is not whether there was work but whether it could have been done. One thread writes a
count and any may read it, so that no lock is held by a part that hangs.
"""

from typing import Literal, get_args

Part = Literal["capture", "detector", "store"]
PARTS: tuple[Part, ...] = get_args(Part)


class Progress:
    """Counts of turns, one for each part."""

    def __init__(self) -> None:
        self._turns: dict[Part, int] = dict.fromkeys(PARTS, 0)

    def advance(self, part: Part) -> None:
        """`part` has done another turn: sound or a state was read, an item was heard, or the store
        kept what there was (or had nothing to keep)."""
        self._turns[part] += 1

    def turns(self, part: Part) -> int:
        """How many turns it has done."""
        return self._turns[part]
