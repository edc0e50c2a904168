"""A device as a microphone: blocking reads through PortAudio, and gaps where it lost samples."""

import atexit
import ctypes
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from agent.adapters.microphone.channels import PpsChannel, channel_count, split
from agent.adapters.microphone.devices import find_device
from agent.adapters.microphone.shortfall import Delivery, Finding, Shortfall
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import MicrophoneError
from agent.ports import HostClock

SampleType = Literal["int16", "int32"]

log = logging.getLogger("earshot")

_MS_PER_S = NS_PER_S // NS_PER_MS
_SHORTEST_WAIT_S, _LONGEST_WAIT_S, _PATIENCE_S = 0.001, 0.1, 0.02
MUTE_S = 5.0  # waited for in vain: the slowest starts of USB devices take a second or two


class InputStream(Protocol):
    """The part of `sounddevice.RawInputStream` that is used here."""

    @property
    def read_available(self) -> int: ...

    def read(self, frames: int) -> tuple[Any, bool]: ...

    def close(self) -> None: ...


class _Piece(NamedTuple):
    interleaved: Any
    host_ns: int


class PortAudioMicrophone:
    """A started blocking input stream of one channel, or two with pulses; an AudioSource.

    A block is read in halves. Of a read that spans a loss nobody knows which of its samples come
    after it: that half is given up and counted as lost, and one before it is passed on as a short
    block. What lags is kept back until `Shortfall` knows why, so that no block after a loss comes
    before its gap. The `host_ns` of a block is when a reader without delay would have had it.

    PortAudio is only asked for what has come already. A read that waits inside it never returns
    once the device is pulled out (19.6 on ALSA: it spins and floods stderr); asking how much has
    come fails at once. No clock of PortAudio's is read: its base differs from host to host.

    `buffer_ms` is the buffer that the device granted, None if it was not asked.
    """

    def __init__(
        self,
        stream: InputStream,
        audio_format: AudioFormat,
        block_samples: int,
        clock: HostClock,
        dtype: SampleType,
        pps_channel: PpsChannel | None = None,
        buffer_ms: int | None = None,
        sleep_s: Callable[[float], None] = time.sleep,
        name: str = "portaudio",
    ) -> None:
        self.format, self.buffer_ms = audio_format, buffer_ms
        self._sleep_s, self._name = sleep_s, name
        self._stream, self._block_samples, self._clock = stream, block_samples, clock
        self._dtype, self._pps_channel = np.dtype(dtype), pps_channel
        self._shortfall = Shortfall(audio_format.rate_hz)
        self._open: list[_Piece] = []
        self._whole: list[_Piece] = []
        self._ready: deque[AudioBlock | AudioGap] = deque()
        self._due_ns = 0  # when the last piece was whole, at the latest
        self._next_sample = 0  # the index of the first sample that no block or gap has told of
        self._waiting = 0  # at the end of the last read
        self._hides = False  # a sound server that tells only of the next few periods
        self._closed = False

    def read(self) -> AudioBlock | AudioGap | None:
        """The next block, or the gap before it. Raises MicrophoneError."""
        while not self._ready:
            if self._closed:
                return None
            delivery = self._take_piece()
            if finding := self._shortfall.judge(delivery):
                self._settle(finding)
        return self._ready.popleft()

    def close(self) -> None:
        """Stop the stream and free the device."""
        self._ready.clear()
        if not self._closed:
            self._closed = True
            self._stream.close()

    def _take_piece(self) -> Delivery:
        asked_ns = self._clock.monotonic_ns()
        missing = _piece_samples(self._block_samples)
        parts, is_flagged = [], False
        try:
            while missing:
                taken = min(missing, self._wait_for(missing))
                raw, is_part_flagged = self._stream.read(taken)
                read_ns = self._clock.monotonic_ns()
                waiting = self._stream.read_available
                self._hides |= waiting > 0 and taken < missing
                self._waiting, missing = waiting, missing - taken
                is_flagged |= is_part_flagged
                parts.append(np.frombuffer(raw, self._dtype))
        except MicrophoneError:
            raise
        except Exception as error:  # PortAudioError, a type of a library imported late
            detail = " ".join(str(error).split())
            told = f"{self._name}: went away ({detail}): check its plug and cable"
            raise MicrophoneError("unplugged", told) from None
        counted_ns = self._clock.monotonic_ns()
        whole = np.concatenate(parts) if len(parts) > 1 else parts[0]
        interleaved = whole.reshape(-1, channel_count(self._pps_channel))
        self._due_ns = max(self._due_ns, counted_ns - self._age_ns(waiting))
        self._open.append(_Piece(interleaved, self._due_ns))
        return Delivery(asked_ns, read_ns, counted_ns, len(interleaved), waiting, is_flagged)

    def _wait_for(self, missing: int) -> int:
        """How many can be read without waiting: at least `missing`, or what there is where no more
        is told of. What counts is the time slept, not the time that passed: a process that was
        stopped for long has not waited in vain."""
        available, slept_s = self._waiting, 0.0
        while available < missing and not (available and (self._hides or slept_s > _PATIENCE_S)):
            missing_s = (missing - available) / self.format.rate_hz
            wait_s = min(max(missing_s, _SHORTEST_WAIT_S, slept_s / 8), _LONGEST_WAIT_S)
            self._sleep_s(wait_s)
            before, available = available, self._stream.read_available
            slept_s = 0.0 if available > before else slept_s + wait_s
            if slept_s > MUTE_S:
                told = f"{self._name}: gives no sound and no error: unplug it for 5 s"
                raise MicrophoneError("stuck", told)
        return available

    def _age_ns(self, waiting: int) -> int:
        """How long a piece has been whole for certain, when `waiting` samples have come after it.

        Else reads that end in the middle of a period would all be late by the rest of it, which
        after an overflow is another. Of a long queue the device's own rate would matter.
        """
        return min(waiting, self._block_samples) * NS_PER_S // self.format.rate_hz

    def _settle(self, finding: Finding) -> None:
        settled, self._open = self._open[: finding.settled], self._open[finding.settled :]
        if finding.lost:
            self._pass_on()
            torn = sum(len(piece.interleaved) for piece in settled[: finding.torn])
            lost = torn + finding.lost
            gap = AudioGap(self._next_sample, lost, settled[0].host_ns, finding.reason)
            self._ready.append(gap)
            self._next_sample += lost
        for piece in settled[finding.torn :]:
            self._whole.append(piece)
            if sum(len(piece.interleaved) for piece in self._whole) >= self._block_samples:
                self._pass_on()

    def _pass_on(self) -> None:
        """Make a block of what is whole."""
        if not self._whole:
            return
        interleaved = np.concatenate([piece.interleaved for piece in self._whole])
        samples, pps = split(interleaved, self._pps_channel)
        block = AudioBlock(self._next_sample, samples, self._whole[-1].host_ns, pps)
        self._ready.append(block)
        self._next_sample = block.end_sample
        self._whole.clear()


def open_portaudio(
    name: str,
    rate_hz: int,
    block_samples: int,
    clock: HostClock,
    *,
    dtype: SampleType = "int32",
    full_scale_db_spl: float | None = None,
    pps_channel: PpsChannel | None = None,
    buffer_ms: int = 250,
) -> PortAudioMicrophone:
    """Open and start the input device that `name` means (`devices.find_device`).

    With `pps_channel` two channels are taken, that one for pulses. `buffer_ms` is the buffer to
    ask for; what was granted is logged. Raises MicrophoneError. Not while another stream is open:
    PortAudio is begun anew, for it knows only the devices that were there when it began.
    """
    channels, piece = channel_count(pps_channel), _piece_samples(block_samples)
    device = find_device(name, rate_hz, channels)
    try:
        sounddevice = _portaudio()
        depth_s = buffer_ms / _MS_PER_S + piece / rate_hz  # a piece waits while it becomes whole
        _divide_buffer(sounddevice, int(2 * rate_hz * depth_s / piece))
        stream = sounddevice.RawInputStream(
            samplerate=rate_hz,
            blocksize=piece,
            device=device,
            channels=channels,
            dtype=dtype,
            latency=depth_s,
        )
        try:
            stream.start()
        except BaseException:
            stream.close()
            raise
        granted_ms = round((stream.latency - piece / rate_hz) * _MS_PER_S)
    except Exception as error:  # PortAudioError or ValueError: it went in the meantime
        detail = " ".join(str(error).split())
        told = f"portaudio:{name}: cannot be opened: {detail}: check its plug"
        raise MicrophoneError("refused", told) from None
    log.info("portaudio:%s: buffer of %d ms, %d asked for", name, granted_ms, buffer_ms)
    audio_format = AudioFormat(rate_hz, full_scale_db_spl, granted_ms)
    return PortAudioMicrophone(
        stream,
        audio_format,
        block_samples,
        clock,
        dtype,
        pps_channel,
        granted_ms,
        name=f"portaudio:{name}",
    )


def _portaudio() -> Any:
    """sounddevice, imported late, for it probes every device of the host; begun anew after that.

    Its end at the exit of the process is left out: the kernel frees all, and PortAudio's own end
    hangs where a read does.
    """
    if (known := sys.modules.get("sounddevice")) is not None:
        while known._initialized:
            known._terminate()
        known._initialize()
        return known
    import sounddevice

    atexit.unregister(sounddevice._exit_handler)
    return sounddevice


def _piece_samples(block_samples: int) -> int:
    """Samples of one read: half a block, or an odd one whole."""
    return block_samples if block_samples % 2 else block_samples // 2


def _divide_buffer(sounddevice: Any, periods: int) -> None:
    """Have PortAudio cut an ALSA buffer into so many periods, each of which wakes the reader.

    By itself it makes four, whatever the depth: 250 ms would come in bursts of 62. It takes the
    number for a hint and needs twice as many as it makes. Other hosts' PortAudio has no such call.
    """
    try:
        set_periods = ctypes.CDLL(sounddevice._libname).PaAlsa_SetNumPeriods
    except (AttributeError, OSError):
        return
    set_periods(max(4, periods))
