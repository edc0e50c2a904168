"""A microphone that outlasts its device: waits for it, opens it again, tells what was missed.

What comes of each fault:

- unplugged, silent without an error, absent, busy, refused, ambiguous: the device is closed, and
  opened again every RETRY_S until it is heard. Nothing is in PortAudio's hands meanwhile, so that
  this is sure.
- a call into PortAudio that does not return: this thread is lost with it. The daemon notices that
  capture makes no progress and leaves the process, which is started afresh.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from msgspec.structs import replace

from agent.core.audio import (
    AudioBlock,
    AudioFormat,
    AudioGap,
    Heard,
    MicrophoneCondition,
    MicrophoneState,
)
from agent.core.units import NS_PER_S
from agent.errors import AudioError, MicrophoneError
from agent.ports import AudioSource, HostClock

RETRY_S = 3.0
_SLICE_S = 1.0
_GAP_EVERY_NS = 60 * NS_PER_S

log = logging.getLogger("earshot")


class EnduringMicrophone:
    """An AudioSource over whatever `open_device` gives; it never ends and never raises.

    Samples are counted over all devices: while there is none, the host's time is counted as lost,
    told once a minute and when sound comes again. Constructing it tries the device once.
    `audio_format` holds until one has told its buffer.
    """

    def __init__(
        self,
        open_device: Callable[[], AudioSource],
        audio_format: AudioFormat,
        clock: HostClock,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._open_device, self._clock, self._sleep_s = open_device, clock, sleep_s
        self.format = audio_format
        self._device: AudioSource | None = None
        self._base = self._next_sample = 0  # where the device's count begins, and what is told of
        self._told_ns = clock.monotonic_ns()  # when `_next_sample` was
        self._condition: MicrophoneCondition | None = None  # None until anything is known
        self._reason = ""
        self._is_missed = False
        self._reopened = -1
        self._retry_at_ns = 0
        self._ready: deque[Heard] = deque()
        self._closed = False
        self._try()
        if self._device:
            self.format = self._device.format

    def read(self) -> Heard | None:
        """The next block, gap or state; a state at least once a second while there is no sound."""
        while not self._ready:
            if self._closed:
                return None
            if self._device is None:
                self._wait_for_it()
            else:
                self._hear(self._device)
        return self._ready.popleft()

    def close(self) -> None:
        """Free the device, if there is one."""
        self._closed = True
        self._ready.clear()
        self._let_go()

    def _wait_for_it(self) -> None:
        left_s = (self._retry_at_ns - self._clock.monotonic_ns()) / NS_PER_S
        if left_s > 0:
            self._sleep_s(min(left_s, _SLICE_S))
        else:
            self._try()
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._told_ns >= _GAP_EVERY_NS:
            self._tell_missed(now_ns)
        self._tell_state(now_ns)

    def _try(self) -> None:
        try:
            self._device = self._open_device()
        except AudioError as error:
            self._fail(error)

    def _hear(self, device: AudioSource) -> None:
        try:
            heard = device.read()
        except AudioError as error:
            self._let_go()
            self._fail(error)
            self._tell_state(self._clock.monotonic_ns())
            return
        if heard is None:
            self._closed = True
        elif isinstance(heard, AudioBlock | AudioGap):
            if self._condition != "hearing":
                self._begin(heard)
            self._pass_on(heard)

    def _begin(self, first: AudioBlock | AudioGap) -> None:
        """Sound comes again, or for the first time."""
        if self._is_missed:
            samples = first.lost if isinstance(first, AudioGap) else len(first.samples)
            self._tell_missed(first.host_ns - samples * NS_PER_S // self.format.rate_hz)
            log.info("microphone is heard again")
        self._reopened += 1
        self._base = self._next_sample - first.first_sample
        self._condition, self._reason, self._is_missed = "hearing", "", False
        self._tell_state(first.host_ns)

    def _pass_on(self, heard: AudioBlock | AudioGap) -> None:
        if self._base:
            heard = replace(heard, first_sample=heard.first_sample + self._base)
        lost = heard.lost if isinstance(heard, AudioGap) else len(heard.samples)
        self._next_sample, self._told_ns = heard.first_sample + lost, heard.host_ns
        self._ready.append(heard)

    def _fail(self, error: AudioError) -> None:
        condition: MicrophoneCondition = "broken"
        if isinstance(error, MicrophoneError):
            condition = cast("MicrophoneCondition", error.condition)
        if condition != self._condition:  # once: what is missing for a week is told in a line
            log.error("%s", error)
        self._condition, self._reason, self._is_missed = condition, str(error), True
        self._retry_at_ns = self._clock.monotonic_ns() + round(RETRY_S * NS_PER_S)

    def _tell_missed(self, until_ns: int) -> None:
        """The time that passed since anything was told, as lost samples."""
        missed_ns = max(0, until_ns - self._told_ns)
        lost = max(1, round(missed_ns * self.format.rate_hz / NS_PER_S))
        reason = f"microphone {self._condition}"
        self._ready.append(AudioGap(self._next_sample, lost, until_ns, reason, is_reopened=True))
        self._next_sample += lost
        self._told_ns = max(self._told_ns, until_ns)

    def _tell_state(self, host_ns: int) -> None:
        if self._condition:
            reopened = max(0, self._reopened)
            state = MicrophoneState(host_ns, self._condition, self._reason, reopened)
            self._ready.append(state)

    def _let_go(self) -> None:
        device, self._device = self._device, None
        if device:
            with suppress(Exception):  # a device that is gone may say so once more
                device.close()
