"""What the microphone of one node digitises in a scene: street noise, shots and their echoes.

Only the windows in which something arrives are synthesised; noise is a tile played from random
places. Sample k is what arrives at the instant at which the node's own converter takes sample k.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from agent.core.audio import AudioFormat
from agent.core.units import NS_PER_S
from simulator.scene.oscillators import AdcClock
from simulator.scene.propagation import Air, Floats, Path, Point, Wall, paths, propagate
from simulator.scene.randomness import stream
from simulator.scene.sources import Source, StreetNoise, band_limit, pascals, street_noise

Pcm = npt.NDArray[np.int16]

_TILE_SAMPLES = 2**19
_STRETCH_S = (2.0, 6.0)
_FADE_S = 0.1
_WINDOW_S = 0.35
_BEFORE_ONSET_S = 0.005
_FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One impulsive sound: when, where and what."""

    utc_ns: int
    enu_m: Point
    source: Source


@dataclass(frozen=True, slots=True)
class Reverberation:
    """The street's diffuse tail: its level below the direct sound, and its decay by 60 dB."""

    below_direct_db: float = 20.0
    decay_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that can be heard between `start_utc_ns` and `end_utc_ns`."""

    seed: int
    start_utc_ns: int
    end_utc_ns: int
    air: Air
    noise: StreetNoise
    shots: tuple[Shot, ...]
    walls: tuple[Wall, ...] = ()
    ground_reflection: float = 0.0
    reverberation: Reverberation | None = None


@dataclass(frozen=True, slots=True)
class Listener:
    """A node's ear: a pressure of `full_scale_db_spl` is the largest it can tell."""

    name: str
    enu_m: Point
    full_scale_db_spl: float = 123.0


@dataclass(frozen=True, slots=True)
class SceneAudio:
    """A scene as one listener's converter hears it."""

    scene: Scene
    listener: Listener
    clock: AdcClock

    @property
    def format(self) -> AudioFormat:
        """The converter's nominal rate and full scale."""
        return AudioFormat(self.clock.rate_hz, self.listener.full_scale_db_spl)

    def chunks(self) -> Iterator[Pcm]:
        """All samples, see `render`."""
        return render(self.scene, self.listener, self.clock)


def render(scene: Scene, listener: Listener, clock: AdcClock) -> Iterator[Pcm]:
    """The samples from index 0 to the scene's end, in chunks of a few seconds, clipped."""
    count = math.ceil(clock.sample_at(scene.end_utc_ns))
    arrivals = sorted(_arrivals(scene, listener, clock), key=lambda arrival: arrival.sample)
    sounding: list[_Window] = []
    first = 0
    for background in _background(scene, listener, clock.rate_hz):
        chunk = background[: count - first]
        end = first + len(chunk)
        while arrivals and arrivals[0].first_sample < end:
            sounding.append(arrivals.pop(0).synthesise())
        yield _mixed(chunk, first, sounding) if sounding else chunk
        sounding = [window for window in sounding if window.end_sample > end]
        first = end
        if first >= count:
            return


@dataclass(frozen=True, slots=True)
class _Window:
    """Samples that something adds to the stream, in units of one step of the converter."""

    first_sample: int
    steps: Floats

    @property
    def end_sample(self) -> int:
        return self.first_sample + len(self.steps)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One path of one shot on its way into the stream; `sample` is where its front falls."""

    shot: Shot
    path: Path
    air: Air
    sample: float
    true_rate_hz: float
    steps_per_pa: float
    tail: Reverberation | None
    tail_rng: np.random.Generator

    @property
    def first_sample(self) -> int:
        return math.floor(self.sample - _BEFORE_ONSET_S * self.true_rate_hz)

    def synthesise(self) -> _Window:
        """The wave in the frequency domain, on the frequencies that this converter really has."""
        count = 2 ** math.ceil(math.log2(_WINDOW_S * self.true_rate_hz))
        frequency_hz = np.fft.rfftfreq(count, 1.0 / self.true_rate_hz)
        emitted = self.shot.source.spectrum(frequency_hz)
        heard = propagate(emitted, frequency_hz, self.path, self.air)
        if self.tail is not None:
            heard = heard * _tail_response(self.tail, count, self.true_rate_hz, self.tail_rng)
        delay_s = (self.sample - self.first_sample) / self.true_rate_hz
        placed = heard * np.exp(-2j * np.pi * frequency_hz * delay_s)
        scale = band_limit(frequency_hz, self.true_rate_hz) * (
            self.true_rate_hz * self.steps_per_pa
        )
        return _Window(self.first_sample, np.fft.irfft(placed * scale, count))


def _arrivals(scene: Scene, listener: Listener, clock: AdcClock) -> Iterator[_Arrival]:
    steps_per_pa = _FULL_SCALE / pascals(listener.full_scale_db_spl)
    for number, shot in enumerate(scene.shots):
        ways = paths(shot.enu_m, listener.enu_m, scene.air, scene.walls, scene.ground_reflection)
        for order, path in enumerate(ways):
            arrival_utc_ns = shot.utc_ns + round(path.travel_s * NS_PER_S)
            yield _Arrival(
                shot=shot,
                path=path,
                air=scene.air,
                sample=clock.sample_at(arrival_utc_ns),
                true_rate_hz=clock.true_rate_hz_at(arrival_utc_ns),
                steps_per_pa=steps_per_pa,
                tail=scene.reverberation if order == 0 else None,
                tail_rng=stream(scene.seed, "reverberation", listener.name, str(number)),
            )


def _tail_response(
    tail: Reverberation, count: int, rate_hz: float, rng: np.random.Generator
) -> npt.NDArray[np.complex128]:
    """The direct sound itself, then a dense decaying scatter of it from 2 ms on.

    The scatter's energy is `below_direct_db` under the direct sound's; it fades out before the
    window ends.
    """
    time_s = np.arange(count) / rate_hz
    decay = np.where(time_s >= 0.002, 10.0 ** (-3.0 * time_s / tail.decay_s), 0.0)
    scatter = rng.standard_normal(count) * decay * np.clip((0.8 * time_s[-1] - time_s) / 0.05, 0, 1)
    scatter *= 10.0 ** (-tail.below_direct_db / 20.0) / math.sqrt(float(np.sum(scatter**2)))
    return np.asarray(1.0 + np.fft.rfft(scatter))


def _mixed(chunk: Pcm, first: int, sounding: list[_Window]) -> Pcm:
    """The chunk that starts at sample `first` with every window added, then clipped once."""
    total = chunk.astype(np.float64)
    for window in sounding:
        start = max(first, window.first_sample)
        end = min(first + len(chunk), window.end_sample)
        if end > start:
            heard = window.steps[start - window.first_sample : end - window.first_sample]
            total[start - first : end - first] += heard
    return _quantised(total)


def _background(scene: Scene, listener: Listener, rate_hz: int) -> Iterator[Pcm]:
    """Endless noise: stretches of the tile from random places, cross-faded at equal power."""
    steps_per_pa = _FULL_SCALE / pascals(listener.full_scale_db_spl)
    tile = _quantised(_tile(scene.noise, rate_hz, scene.seed) * np.float32(steps_per_pa))
    rng = stream(scene.seed, "background", listener.name)
    fade = round(_FADE_S * rate_hz)
    turn = np.linspace(0.0, np.pi / 2, fade, endpoint=False, dtype=np.float64)
    rising, falling = np.sin(turn), np.cos(turn)
    last = _stretch(tile, int(rng.integers(len(tile))), fade)
    while True:
        length = round(rng.uniform(*_STRETCH_S) * rate_hz)
        stretch = _stretch(tile, int(rng.integers(len(tile))), length + fade)
        stretch[:fade] = _quantised(rising * stretch[:fade] + falling * last)
        yield stretch[:length]
        last = stretch[length:]


def _stretch(tile: Pcm, start: int, length: int) -> Pcm:
    return np.asarray(np.take(tile, np.arange(start, start + length), mode="wrap"))


def _quantised(steps: Floats) -> Pcm:
    return np.clip(np.rint(steps), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


@lru_cache(maxsize=4)
def _tile(noise: StreetNoise, rate_hz: int, seed: int) -> npt.NDArray[np.float32]:
    """The scene's noise in Pa, shared by its listeners: each plays it in its own order."""
    rng = stream(seed, "street noise", str(rate_hz))
    return street_noise(_TILE_SAMPLES, rate_hz, noise, rng).astype(np.float32)
