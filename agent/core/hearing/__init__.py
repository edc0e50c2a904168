"""Hearing: blocks of sound in, onsets with their features and classification out.

On the way: frames (`pipeline`), where to look (`detector`), where sounds begin (`picker`), what
they are like (`features`, `band_envelopes`), what they are taken for (`classification`,
`classifier`), and when exactly they arrived (`arrival`, with `templates`, `likelihood`,
`whitening`, `first_break`). Beside it: whether the microphone lives (`liveness`, with `look`,
`symptoms`, `level_history`), whether the path hears (`selftest`), and how far (`hearing_range`).

Counts samples only: what time a sample has is the clock's matter, and what is published the node's.
"""

from agent.core.hearing.pipeline import Hearing, Onset

__all__ = ["Hearing", "Onset"]
