"""What the noise before a sound was like, as a filter that makes it white.

A linear predictor after Makhoul 1975 (Proc. IEEE 63, 561), from power spectra of the last third of
a second. Works on differences between neighbouring samples, so that wind and DC do not leak.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.spectra import hann

Wave = npt.NDArray[np.float64]

NOISE_S = 0.3
NEAR_S = 12e-3
_FRAME_S = 1024 / 48_000
_LEVEL_FROM_HZ = 500.0
_ORDER_S = 32 / 48_000
_LEAST_ORDER = 12
_LEAST_FLOOR = 1e-4
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Whitener:
    """`taps[0]` is 1; what passes is white with variance `power`."""

    taps: Wave
    power: float

    @property
    def order(self) -> int:
        return len(self.taps) - 1

    def whitened(self, sound: Wave) -> Wave:
        """Of differences between samples (n,) those after the first `order` ones, white."""
        return np.correlate(sound, self.taps[::-1], "valid")


def order_at(rate_hz: int) -> int:
    """Order of the predictor: a whitener has one tap more."""
    return max(_LEAST_ORDER, round(_ORDER_S * rate_hz))


def whitener(noise: Wave, rate_hz: int) -> Whitener | None:
    """From differences of samples that end where the sound in question may begin; None if too few.

    The spectrum is the mean over frames that each count alike however loud they are, so that an
    earlier shot among them does not rule. The power is that of the last NEAR_S.
    """
    order = order_at(rate_hz)
    near = round(NEAR_S * rate_hz)
    if len(noise) < near + order:
        return None
    lags = _autocorrelation(noise, rate_hz, order)
    lags[0] *= 1.0 + _LEAST_FLOOR
    if not lags[0] > 0.0:
        return None
    around = np.concatenate(
        (lags[order - 1 : 0 : -1], lags[:order])
    )  # as rows of a Toeplitz matrix
    step = around.strides[0]
    matrix = np.ndarray((order, order), np.float64, around, (order - 1) * step, (-step, step))
    taps = np.empty(order + 1)
    taps[0] = 1.0
    np.negative(np.linalg.solve(matrix, lags[1:]), out=taps[1:])
    last = np.correlate(noise[-near - order :], taps[::-1], "valid")
    return Whitener(taps, float(last @ last) / len(last) + _LEAST**2)


def _autocorrelation(noise: Wave, rate_hz: int, order: int) -> Wave:
    size = 1 << round(math.log2(_FRAME_S * rate_hz))
    count = min(len(noise), round(NOISE_S * rate_hz)) // size
    if not count:
        size = 1 << (len(noise).bit_length() - 1)
        count = 1
    frames = noise[len(noise) - count * size :].reshape(count, size)
    parts = np.fft.rfft(frames * hann(size)).view(np.float64)  # real and imaginary, in turn
    parts *= parts
    level = np.add.reduce(parts[:, 2 * int(_LEVEL_FROM_HZ * size / rate_hz) :], axis=1)
    level += np.add.reduce(level) / count * 1e-6 + _LEAST
    weighed = np.reciprocal(level, out=level) @ parts
    mean = weighed[0::2] + weighed[1::2]
    top = slice(int(0.40 * size), int(0.43 * size))
    least, above = np.add.reduce(mean[top]) / (top.stop - top.start), mean[top.stop :]
    np.maximum(above, least, out=above)
    return np.fft.irfft(mean)[: order + 1]
