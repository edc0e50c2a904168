"""One channel is the microphone; of two, one carries a receiver's pulses."""

from typing import Any, Literal

from agent.core.audio import Samples

PpsChannel = Literal[1, 2]


def channel_count(pps_channel: PpsChannel | None) -> int:
    """How many channels to take."""
    return 1 if pps_channel is None else 2


def split(interleaved: Any, pps_channel: PpsChannel | None) -> tuple[Samples, Samples | None]:
    """The microphone's samples and the pulses', each on its own, from an array (n, channels)."""
    if pps_channel is None:
        return interleaved[:, 0].copy(), None
    return interleaved[:, 2 - pps_channel].copy(), interleaved[:, pps_channel - 1].copy()
