"""How far each part of the node has come, so that a part that hangs is noticed.

Each part advances its own count whenever it has done a turn of its work, idle turns included: what
is asked is not whether there was work but whether it could have been done. One thread writes a
count and any may read it, so that no lock is held by a part that hangs.
"""

from typing import Literal, get_args

Part = Literal["capture", "detector", "store"]
PARTS: tuple[Part, ...] = get_args(Part)
LOOK_S = 0.5
CAPTURE_HANGS_S = 12.0
"""More than a child takes that is asked for devices, and little enough to hear again in 30 s."""


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


class Watch:
    """Looks at `progress` every LOOK_S and says what follows.

    Looks are counted, not seconds: a process that was stopped for long has not hung.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._fed = dict.fromkeys(PARTS, 0)
        self._captured, self._looks = 0, 0

    def look(self) -> bool:
        """Whether every part has advanced since this was last so."""
        captured = self._progress.turns("capture")
        self._looks = self._looks + 1 if captured == self._captured else 0
        self._captured = captured
        now = {part: self._progress.turns(part) for part in PARTS}
        has_advanced = all(now[part] > self._fed[part] for part in PARTS)
        if has_advanced:
            self._fed = now
        return has_advanced

    @property
    def is_capture_hung(self) -> bool:
        """Whether capture has not come back for CAPTURE_HANGS_S."""
        return self._looks * LOOK_S >= CAPTURE_HANGS_S
