"""A sound file as a microphone, paced in real time."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.adapters.microphone.channels import PpsChannel, split
from agent.core.audio import AudioBlock, AudioFormat
from agent.core.units import NS_PER_S
from agent.errors import AudioError
from agent.ports import HostClock
from agent.settings import MAX_RATE_HZ, MIN_RATE_HZ

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
        samples, pps = split(taken, self._pps_channel)
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
