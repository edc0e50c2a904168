"""The bands of an onset's spectrum, and the mean power of each over given spans of time.

All that depends on the rate alone is worked out once; what is left for each onset is one inverse
transform a band and one sum over all of their samples. What the numbers tell is
`band_envelopes`'.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.hearing.spectra import Numbers, Spectrum

_SOFT_OCTAVES = 0.15

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class SpanMeans:
    """Mean power over spans with fractional edges of one or several sounds, laid end to end.

    A sample's power counts from half a step before it to half a step after it, and is the sum of
    `parts` squares that lie side by side: 2 for complex samples. `firsts` is where the squares of
    the sample begin in which an edge lies, (sounds x edges,); `inside` (sounds, edges) how much of
    it lies before the edge; `is_apart` (sounds, edges - 1) is 0 where the next edge lies in the
    same sample; `spans` are the columns that are asked for, and `scale` (sounds, spans).
    """

    parts: int
    firsts: Places
    inside: Numbers
    is_apart: Numbers
    spans: Places
    scale: Numbers

    def of(self, squares: Numbers) -> Numbers:
        """Means, shape (sounds, spans), of `squares`, shape (all samples x parts,)."""
        sums = np.add.reduceat(squares, self.firsts).reshape(self.inside.shape)
        edge = squares.take(self.firsts)
        for part in range(1, self.parts):
            edge += squares[part:].take(self.firsts)
        edge = edge.reshape(self.inside.shape)
        edge *= self.inside
        sums = sums[:, :-1]
        sums *= self.is_apart
        sums += edge[:, 1:]
        sums -= edge[:, :-1]
        sums = sums.take(self.spans, axis=1)
        return np.multiply(sums, self.scale, out=sums)


@dataclass(frozen=True, slots=True)
class _Band:
    """`bins` of the spectrum, faded by `weight`; `size` of their transform."""

    bins: slice
    weight: Spectrum
    size: int


@dataclass(frozen=True, slots=True)
class FilterBank:
    """Bands in ascending order, whose envelopes lie end to end in one memory of `size`.

    `places` is where in it each band's spectrum is laid; `groups` are the parts, and their shapes,
    of bands whose transforms are made in one call.
    """

    size: int
    bands: tuple[_Band, ...]
    places: tuple[slice, ...]
    groups: tuple[tuple[slice, tuple[int, int]], ...]
    means: SpanMeans

    def levels(self, spectrum: Spectrum) -> Numbers:
        """Mean power per span of each band, (bands, spans), of a spectrum as `rfft` gives it."""
        envelopes: Spectrum = np.zeros(self.size, complex)
        for band, place in zip(self.bands, self.places, strict=True):
            np.multiply(spectrum[band.bins], band.weight, out=envelopes[place])
        for part, shape in self.groups:
            group = envelopes[part].reshape(shape)
            np.fft.ifft(group, out=group)
        numbers = envelopes.view(np.float64)
        return self.means.of(np.multiply(numbers, numbers, out=numbers))


def span_means(spans: Numbers, steps: Sequence[float], lengths: Sequence[int]) -> SpanMeans:
    """For real sounds; `spans` (2, n) in samples of step 1, ascending and without overlap.

    One sound for each step between its samples, and its length in samples.
    """
    return _span_means(spans, steps, lengths, [1.0] * len(steps), parts=1)


def filter_bank(edges_hz: Iterable[float], spans: Numbers, rate_hz: float, size: int) -> FilterBank:
    """Of the spectrum of `size` samples; `spans` (2, n) in samples, ascending, without overlap."""
    frequency_hz: Numbers = np.fft.rfftfreq(size, 1.0 / rate_hz).astype(np.float64)
    bands = [_band(low, high, frequency_hz) for low, high in itertools.pairwise(edges_hz)]
    steps = [size / band.size for band in bands]
    sizes = [band.size for band in bands]
    begins = [0, *itertools.accumulate(sizes)]
    alike = [(one, len(list(ones))) for one, ones in itertools.groupby(sizes)]
    ends = itertools.accumulate(one * count for one, count in alike)
    return FilterBank(
        size=begins[-1],
        bands=tuple(bands),
        places=tuple(
            slice(at, at + len(band.weight)) for at, band in zip(begins, bands, strict=False)
        ),
        groups=tuple(
            (slice(end - one * count, end), (count, one))
            for (one, count), end in zip(alike, ends, strict=True)
        ),
        means=_span_means(spans, steps, sizes, [2.0 / step**2 for step in steps], parts=2),
    )


def _band(low_hz: float, high_hz: float, frequency_hz: Numbers) -> _Band:
    """Edges that fade by half at `low_hz` and `high_hz`: little rings before a sharp onset."""
    octaves = np.log2(np.maximum(frequency_hz, 1.0))
    rise = (octaves - np.log2(low_hz)) / (2.0 * _SOFT_OCTAVES) + 0.5
    fall = (np.log2(high_hz) - octaves) / (2.0 * _SOFT_OCTAVES) + 0.5
    weight = np.sin(np.clip(rise, 0.0, 1.0) * np.pi / 2) * np.sin(
        np.clip(fall, 0.0, 1.0) * np.pi / 2
    )
    bins = np.flatnonzero(weight > 0.0)
    first, last = int(bins[0]), int(bins[-1]) + 1
    size = 1 << (last - first - 1).bit_length()
    return _Band(slice(first, last), weight[first:last].astype(np.complex128), size)


def _span_means(
    spans: Numbers,
    steps: Sequence[float],
    lengths: Sequence[int],
    gains: Sequence[float],
    parts: int,
) -> SpanMeans:
    starts, stops = spans
    is_new = np.concatenate(([True], starts[1:] != stops[:-1]))
    edges = np.unique(np.concatenate((starts[is_new], stops)))
    place = edges / np.array(steps)[:, None] + 0.5
    at = place.astype(np.intp)
    begins = np.cumsum([0, *lengths[:-1]])
    step, gain = np.array(steps)[:, None], np.array(gains)[:, None]
    return SpanMeans(
        parts=parts,
        firsts=(parts * (at + begins[:, None])).ravel(),
        inside=place - at,
        is_apart=(at[:, 1:] != at[:, :-1]).astype(np.float64),
        spans=np.searchsorted(edges, starts),
        scale=gain * step / (stops - starts),
    )
