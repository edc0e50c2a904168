"""Host time and counted samples for tests of microphones."""

import numpy as np

from agent.core.units import NS_PER_S

RATE_HZ = 48_000


class Stopwatch:
    """Host time that passes only when someone sleeps, and a little on every wake-up."""

    def __init__(self, oversleep_ns: int = 0) -> None:
        self.now_ns = 5 * NS_PER_S
        self.oversleep_ns = oversleep_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.now_ns

    def sleep_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S) + self.oversleep_ns


def ramp(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int16)


def two_channels(count: int) -> np.ndarray:
    """Left counts up, right counts down, shape (count, 2)."""
    return np.stack((ramp(count), -ramp(count)), axis=1)


class Converter:
    """A sound card behind PortAudio: sample k holds the value k, on a second channel -k.

    It has a crystal of its own (`ppm`), a ring buffer that fills by `granule_samples` at a time,
    and periods at whose ends it wakes its reader. What overflows is lost with all that the ring
    holds, at the reader's next call. The driver's flag comes so many reads later as `flags` says,
    as often as it says: one read late on ALSA. `stops_s` has the process stopped for so long at
    each of its next waits for samples, inside a read or in `sleep_s`.

    Pulled out, it tells so to whoever asks what has come, but a read that has to wait never ends,
    as with PortAudio 19.6 on ALSA. `mute`, it takes no more samples and says nothing of it.
    """

    def __init__(
        self,
        watch: Stopwatch,
        ring_samples: int,
        channels: int = 1,
        ppm: float = 0.0,
        flags: tuple[int, ...] = (1,),
        period_samples: int = 240,
        granule_samples: int = 1,
    ) -> None:
        self.watch, self.ring_samples, self.channels = watch, ring_samples, channels
        self.granule_samples = granule_samples
        self.flags, self.period_samples = flags, period_samples
        self.start_ns = watch.now_ns
        self.rate_hz = RATE_HZ * (1 + ppm * 1e-6)
        self.tail = self.reads = 0
        self.stops_s: list[float] = []
        self.losses: list[int] = []
        self.flagged_reads: set[int] = set()
        self.unplugged = self.closed = False
        self.mute_at_ns: int | None = None

    def mute(self) -> None:
        self.mute_at_ns = self.watch.now_ns

    @property
    def captured(self) -> int:
        now_ns = self.watch.now_ns if self.mute_at_ns is None else self.mute_at_ns
        exactly = (now_ns - self.start_ns) / NS_PER_S * self.rate_hz
        return int(exactly / self.granule_samples) * self.granule_samples

    @property
    def read_available(self) -> int:
        if self.unplugged:
            raise RuntimeError("Unanticipated host error [PaErrorCode -9999]: 'No such device'")
        self._recover()
        return self.captured - self.tail

    def read(self, frames: int) -> tuple[bytes, bool]:
        self.reads += 1
        counted = np.empty(0, np.int32)
        while len(counted) < frames:
            taken = min(frames - len(counted), self.read_available)
            counted = np.append(counted, np.arange(self.tail, self.tail + taken, dtype=np.int32))
            self.tail += taken
            if len(counted) < frames:
                self._wait_for_a_period()
        channels = np.stack((counted, -counted)[: self.channels], axis=1)
        return channels.tobytes(), self.reads in self.flagged_reads

    def close(self) -> None:
        self.closed = True

    def lose(self, samples: int) -> None:
        """Samples are lost that the driver may or may not know of."""
        self.tail += samples
        self.losses.append(samples)

    def _recover(self) -> None:
        if self.captured - self.tail > self.ring_samples:
            self.lose(self.captured - self.tail)
            self.flagged_reads |= {self.reads + late for late in self.flags}

    def sleep_s(self, seconds: float) -> None:
        """The reader sleeps."""
        self.watch.sleep_s(seconds)
        if self.stops_s:
            self.watch.sleep_s(self.stops_s.pop(0))

    def _wait_for_a_period(self) -> None:
        assert not self.unplugged, "this read never returns"
        assert self.mute_at_ns is None, "this read never returns"
        due = (self.captured // self.period_samples + 1) * self.period_samples
        self.watch.sleep_s((due - self.captured) / self.rate_hz + 1e-9)
        if self.stops_s:
            self.watch.sleep_s(self.stops_s.pop(0))
