"""Two pickers that others would use, for comparison: scipy's filters, and seismology's classic.

Each knows the rough onset, as ours does, and looks within the same few milliseconds.
"""

import numpy as np
from scipy.signal import butter, hilbert, sosfiltfilt

from simulator.scene.propagation import Floats

SEARCH_S = (-1.5e-3, 2.5e-3)
_BAND_HZ = (300.0, 8_000.0)
_AROUND_S = 40e-3
_AIC_BEFORE_S = 8e-3
_STA_S, _LTA_S = 1e-3, 20e-3


def envelope_peak(samples: Floats, rough: int, rate_hz: int) -> float:
    """Peak of the Hilbert envelope behind a band-pass, by a parabola; in samples.

    Its constant delay is for the caller to remove.
    """
    around = round(_AROUND_S * rate_hz)
    envelope = np.abs(hilbert(_banded(samples[rough - around : rough + around], rate_hz)))
    low, high = (around + round(edge * rate_hz) for edge in SEARCH_S)
    top = low + int(np.argmax(envelope[low:high]))
    left, middle, right = envelope[top - 1 : top + 2]
    bend = left - 2.0 * middle + right
    return float(rough - around + top + (0.5 * (left - right) / bend if bend else 0.0))


def sta_lta_aic(samples: Floats, rough: int, rate_hz: int) -> float:
    """Steepest rise of short over long average (Allen 1978), refined by AIC (Maeda 1985)."""
    around = round(_AROUND_S * rate_hz)
    band = _banded(samples[rough - around : rough + around], rate_hz)
    total = np.concatenate(([0.0], np.cumsum(band**2)))
    short, long = round(_STA_S * rate_hz), round(_LTA_S * rate_hz)
    low, high = (around + round(edge * rate_hz) for edge in SEARCH_S)
    at = np.arange(low, high)
    ratio = ((total[at + short] - total[at]) / short) / ((total[at] - total[at - long]) / long)
    peak = low + int(np.argmax(ratio))
    start = peak - round(_AIC_BEFORE_S * rate_hz)
    piece = band[start : peak + round(_STA_S * rate_hz)]
    energy = np.concatenate(([0.0], np.cumsum(piece**2)))
    split = np.arange(8, len(piece) - 8)
    before = energy[split] / split
    after = (energy[-1] - energy[split]) / (len(piece) - split)
    aic = split * np.log(before) + (len(piece) - split) * np.log(after)
    return float(start + split[int(np.argmin(aic))])


def _banded(samples: Floats, rate_hz: int) -> Floats:
    return np.asarray(sosfiltfilt(_filter(rate_hz), samples))


def _filter(rate_hz: int) -> Floats:
    high_hz = min(_BAND_HZ[1], 0.45 * rate_hz)
    return np.asarray(butter(2, (_BAND_HZ[0], high_hz), "band", fs=rate_hz, output="sos"))
