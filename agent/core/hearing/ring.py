"""Keeps the last stretch of raw sound in one piece of memory, addressed by sample.

Nothing is converted on the way in; whoever looks closer converts what it looks at.
"""

import numpy as np

from agent.core.audio import Kind, Samples

_ROOM = 4


class Ring:
    """The last `keep` samples at least, as slices without a seam. Counts from its own beginning."""

    def __init__(self, keep: int, kind: Kind) -> None:
        self._keep, self._room = keep, _ROOM * keep
        self._memory: Samples = np.zeros(self._room, kind)
        self.begin()

    def begin(self) -> None:
        """Forget everything; the next sample is number 0."""
        self._base = self._fill = 0

    @property
    def end(self) -> int:
        """Number of the sample that comes next."""
        return self._base + self._fill

    def add(self, samples: Samples) -> None:
        """`samples`, no more than `keep` of them, follow those that are in it."""
        fill, end = self._fill, self._fill + len(samples)
        if end > self._room:
            kept = min(self._keep, fill)
            self._memory[:kept] = self._memory[fill - kept : fill]
            self._base += fill - kept
            fill, end = kept, kept + len(samples)
        self._memory[fill:end] = samples
        self._fill = end

    def span(self, first: int, last: int) -> Samples:
        """Samples `first` <= number < `last`, a view that the next `add` may overwrite.

        What is no longer there, or not yet, is left out.
        """
        return self._memory[max(0, first - self._base) : max(0, min(last - self._base, self._fill))]
