"""Microphones: a sound file paced in real time, and a device through PortAudio.

Both read by blocking calls on the thread of the caller. PortAudio callbacks are avoided: they
need writable and executable memory, which a hardened service must not have. Nothing is
resampled or mixed here. What is not one channel of PCM is refused, save that of two channels
one (`pps_channel`) may carry a receiver's pulses, the other then the microphone.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Samples
from agent.core.units import NS_PER_S
from agent.errors import AudioError
from agent.ports import HostClock
from agent.settings import MAX_RATE_HZ, MIN_RATE_HZ

PpsChannel = Literal[1, 2]

_FILE_SAMPLES = {"PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}


class FileMicrophone:
    """A WAV or FLAC file of 16, 24 or 32-bit PCM; an AudioSource.

    It has one channel, or two where `pps_channel` tells which of them carries pulses. A block is
    handed over when its last sample is due, counted on `clock` from the first read. Raises
    AudioError naming the file when it is missing, empty, damaged or of another format.
    """

    def __init__(
        self,
        path: Path,
        block_samples: int,
        clock: HostClock,
        sleep_s: Callable[[float], None] = time.sleep,
        full_scale_db_spl: float | None = None,
        pps_channel: PpsChannel | None = None,
    ) -> None:
        self._path, self._block_samples = path, block_samples
        self._clock, self._sleep_s = clock, sleep_s
        self._pps_channel = pps_channel
        self._file = _open_sound_file(path, pps_channel)
        self._dtype = _FILE_SAMPLES[self._file.subtype]
        self._next_sample = 0
        self._start_ns: int | None = None
        self.format = AudioFormat(self._file.samplerate, full_scale_db_spl)

    def read(self) -> AudioBlock | None:
        """The next block, the last one possibly shorter; None at the end of the file."""
        if self._start_ns is None:
            self._start_ns = self._clock.monotonic_ns()
        if self._file.closed or self._next_sample == self._file.frames:
            return None
        taken = self._take(min(self._block_samples, self._file.frames - self._next_sample))
        samples, pps = _split(taken, self._pps_channel)
        first_sample = self._next_sample
        self._next_sample += len(samples)
        due_ns = self._start_ns + -(-self._next_sample * NS_PER_S // self.format.rate_hz)
        while (wait_ns := due_ns - self._clock.monotonic_ns()) > 0:
            self._sleep_s(wait_ns / NS_PER_S)
        return AudioBlock(first_sample, samples, self._clock.monotonic_ns(), pps)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, count: int) -> Any:
        import soundfile

        try:
            samples = self._file.read(count, dtype=self._dtype, always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._path}: cannot be read: {error}") from None
        if len(samples) < count:
            at = self._next_sample + len(samples)
            raise AudioError(f"{self._path}: damaged: ends at sample {at} of {self._file.frames}")
        return samples


def _split(interleaved: Any, pps_channel: PpsChannel | None) -> tuple[Samples, Samples | None]:
    """The microphone's samples and the pulses', each on its own, from an array (n, channels)."""
    if pps_channel is None:
        return interleaved[:, 0].copy(), None
    return interleaved[:, 2 - pps_channel].copy(), interleaved[:, pps_channel - 1].copy()


def _open_sound_file(path: Path, pps_channel: PpsChannel | None) -> Any:
    import soundfile  # 20 MB, for those only who listen to files

    if not path.is_file():
        raise AudioError(f"{path}: no such sound file")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # headerless formats raise TypeError
        raise AudioError(f"{path}: not a WAV or FLAC file: {error}") from None
    if fault := _format_fault(file, pps_channel):
        file.close()
        raise AudioError(f"{path}: {fault}")
    return file


def _format_fault(file: Any, pps_channel: PpsChannel | None) -> str | None:
    if file.format not in ("WAV", "WAVEX", "RF64", "FLAC"):
        return f"is {file.format}, need WAV or FLAC"
    if file.subtype not in _FILE_SAMPLES:
        return f"holds {file.subtype} samples, need PCM of 16, 24 or 32 bits"
    if pps_channel is not None and file.channels != 2:
        return (
            f"has {file.channels} channel(s), pps_channel = {pps_channel} needs two: leave it out"
        )
    if pps_channel is None and file.channels != 1:
        return f"has {file.channels} channels, need one: extract it, or set pps_channel"
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        return f"has {file.samplerate} Hz, need {MIN_RATE_HZ} to {MAX_RATE_HZ}"
    if file.frames == 0:
        return "has zero length"
    return None


class InputStream(Protocol):
    """The part of `sounddevice.RawInputStream` that is used here."""

    @property
    def read_available(self) -> int: ...

    def read(self, frames: int) -> tuple[Any, bool]: ...

    def close(self) -> None: ...


SampleType = Literal["int16", "int32"]


class PortAudioMicrophone:
    """A started blocking input stream of one channel, or two with pulses; an AudioSource.

    PortAudio tells that samples were lost but not how many; the count is what the host clock
    says should have come since the last block, good to the jitter of that block's delivery.
    """

    def __init__(
        self,
        stream: InputStream,
        audio_format: AudioFormat,
        block_samples: int,
        clock: HostClock,
        dtype: SampleType,
        pps_channel: PpsChannel | None = None,
    ) -> None:
        self.format = audio_format
        self._stream, self._block_samples, self._clock = stream, block_samples, clock
        self._dtype, self._pps_channel = np.dtype(dtype), pps_channel
        self._next_sample = 0
        self._captured_until: tuple[int, int] | None = None  # (host_ns, sample) last known
        self._after_gap: AudioBlock | None = None
        self._closed = False

    def read(self) -> AudioBlock | AudioGap | None:
        """The next block, or before it the gap that an overflow left. Raises AudioError."""
        if self._closed:
            return None
        if block := self._after_gap:
            self._after_gap = None
            return block
        try:
            raw, overflowed = self._stream.read(self._block_samples)
            waiting = self._stream.read_available
        except Exception as error:  # PortAudioError, a type of a library imported late
            raise AudioError(f"microphone lost: {error}: check its cable, then restart") from None
        host_ns = self._clock.monotonic_ns()
        interleaved = np.frombuffer(raw, self._dtype).reshape(-1, _channels(self._pps_channel))
        samples, pps = _split(interleaved, self._pps_channel)
        lost = self._lost(host_ns, len(samples) + waiting) if overflowed else 0
        block = AudioBlock(self._next_sample + lost, samples, host_ns, pps)
        gap = AudioGap(self._next_sample, lost, host_ns, "input overflow")
        self._next_sample = block.end_sample
        self._captured_until = (host_ns, block.end_sample + waiting)
        if not lost:
            return block
        self._after_gap = block
        return gap

    def close(self) -> None:
        """Stop the stream and free the device."""
        if not self._closed:
            self._closed = True
            self._stream.close()

    def _lost(self, host_ns: int, received: int) -> int:
        """Samples converted since the last block that are neither delivered nor waiting."""
        if self._captured_until is None:
            return 0
        last_ns, last_sample = self._captured_until
        elapsed = round((host_ns - last_ns) * self.format.rate_hz / NS_PER_S)
        return max(1, last_sample + elapsed - self._next_sample - received)


def open_portaudio(
    name: str,
    rate_hz: int,
    block_samples: int,
    clock: HostClock,
    *,
    dtype: SampleType = "int32",
    full_scale_db_spl: float | None = None,
    pps_channel: PpsChannel | None = None,
) -> PortAudioMicrophone:
    """Open and start the input device whose name contains `name`, or the host's "default".

    With `pps_channel` two channels are taken, that one for pulses. Raises AudioError.
    """
    device = None if name == "default" else name
    channels = _channels(pps_channel)
    try:
        import sounddevice  # probes every device of the host, so only when one is wanted

        stream = sounddevice.RawInputStream(
            samplerate=rate_hz, device=device, channels=channels, dtype=dtype, latency="high"
        )
        stream.start()
    except OSError as error:
        raise AudioError(f"portaudio:{name}: {error}: install libportaudio2") from None
    except Exception as error:  # PortAudioError or ValueError: no such device, no such rate
        detail = " ".join(str(error).split())
        wanted = f"{rate_hz} Hz with {channels} channel(s)"
        raise AudioError(f"portaudio:{name}: cannot be opened at {wanted}: {detail}") from None
    audio_format = AudioFormat(rate_hz, full_scale_db_spl)
    return PortAudioMicrophone(stream, audio_format, block_samples, clock, dtype, pps_channel)


def _channels(pps_channel: PpsChannel | None) -> int:
    return 1 if pps_channel is None else 2
