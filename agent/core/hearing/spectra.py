"""Small change for Fourier transforms: quick sizes, cached windows, power without a root.

What a spectrum is good for is its user's matter.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]


def squares(spectrum: Spectrum) -> Numbers:
    """Squares of the magnitudes; numpy's abs would take their root first, at some cost."""
    parts = spectrum.view(spectrum.real.dtype)  # real and imaginary, in turn
    parts = parts * parts
    return np.asarray(parts[..., 0::2] + parts[..., 1::2])


@lru_cache(maxsize=64)
def hann(count: int) -> Numbers:
    """Hann's window, shape (count,), to be read only."""
    window = np.hanning(count)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=64)
def smooth_size(least: int) -> int:
    """The smallest even number not below `least` that has no prime factor over 5."""
    size = least + least % 2
    while _without_small_factors(size) != 1:
        size += 2
    return size


def _without_small_factors(number: int) -> int:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number
