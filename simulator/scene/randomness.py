"""One seed, many independent streams: each purpose and node draws from a generator of its own.

So adding a node, or a draw in one place, changes nothing anywhere else.
"""

import hashlib

import numpy as np


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """The generator that belongs to `purpose`, the same on every machine and in every process."""
    name = "\0".join(purpose).encode()
    digest = hashlib.sha256(f"{seed}\0".encode() + name).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
