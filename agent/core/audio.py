"""What a microphone delivers: blocks of samples, gaps where samples were lost, and its own state.

All are values in the stream, so that the core never needs to ask what happened to the driver.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Kind = np.dtype[np.int16] | np.dtype[np.int32]
Samples = npt.NDArray[np.int16] | npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

_SLOT_S = 1024 / 48_000


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """One mono channel. `full_scale_db_spl` is the level that reaches full scale, if known, and
    `buffer_ms` how much sound the device holds for a reader that is held up, if it says so."""

    rate_hz: int
    full_scale_db_spl: float | None = None
    buffer_ms: int | None = None


class AudioBlock(Struct, frozen=True, eq=False, gc=False):
    """Consecutive samples, int16 or int32, shape (n,), n >= 1.

    `first_sample` counts from the opening of the stream, lost samples included.
    `host_ns` is CLOCK_MONOTONIC when the block was handed over, or is known to have been whole:
    never before its last sample was converted, and late by a delay that is one-sided. `pps` is a
    second channel of the same converter that carries a receiver's pulse per second: same shape,
    same instants.
    A Struct, because it is made all the time for years, at an eighth of a dataclass's cost.
    """

    first_sample: int
    samples: Samples
    host_ns: int
    pps: Samples | None = None

    @property
    def end_sample(self) -> int:
        """Index of the first sample after this block."""
        return self.first_sample + len(self.samples)


class AudioGap(Struct, frozen=True, gc=False):
    """`lost` samples are missing from `first_sample` on; the next block starts after them.

    With `is_reopened` the device was opened anew behind it, and may be another one: `lost` is only
    the host's time, and nothing ties the samples to those before.
    """

    first_sample: int
    lost: int
    host_ns: int
    reason: str
    is_reopened: bool = False


MicrophoneCondition = Literal[
    "hearing", "absent", "ambiguous", "busy", "refused", "unplugged", "stuck", "broken"
]
"""`hearing`: sound comes. `absent`: no such device. `ambiguous`: several have the name. `busy`:
another program has it. `refused`: it takes no such rate, channels or samples. `unplugged`: a read
failed. `stuck`: a read does not return. `broken`: the host's sound system fails as a whole."""


class MicrophoneState(Struct, frozen=True, gc=False):
    """What the microphone's adapter knows of it, told in place of sound: at each change, and now
    and then while nothing is heard.

    `reason` names the device and says what is wrong, in a line; empty while it hears. `reopened`
    counts how often it was opened again. Which fault that is, `records.sound_faults` says.
    """

    host_ns: int
    condition: MicrophoneCondition
    reason: str = ""
    reopened: int = 0


Heard = AudioBlock | AudioGap | MicrophoneState


FULL_SCALE = {np.dtype(kind): -float(np.iinfo(kind).min) for kind in (np.int16, np.int32)}


def frame_samples(rate_hz: int) -> int:
    """Samples per slot, the power of two nearest to 21 ms; ten slots make a frame of hearing."""
    return int(2 ** round(np.log2(rate_hz * _SLOT_S)))


def full_scale(samples: Samples) -> float:
    """The magnitude of the most negative sample that this kind of samples can hold."""
    return FULL_SCALE[samples.dtype]


def to_float(samples: Samples) -> Floats:
    """Samples as float32 with full scale at 1.0."""
    wave = samples.astype(np.float32)
    wave *= np.float32(1.0 / full_scale(samples))
    return wave
