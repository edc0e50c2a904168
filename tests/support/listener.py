"""A process that listens to a device through the real microphone, hearing and timebase.

`python -m tests.support.listener DEVICE BUFFER_MS`; it writes a line of JSON for each gap, onset
and second. UTC is CLOCK_MONOTONIC plus `UTC_OF_HOST_NS`, and told each second.
"""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

from agent.adapters.host import SystemClock
from agent.adapters.microphone import open_portaudio
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.clock.time_signs import TimeMark
from agent.core.clock.timebase import ClockSettings, Timebase
from agent.core.hearing import Hearing, Onset
from agent.core.units import NS_PER_S, NS_PER_US

UTC_OF_HOST_NS = 1_800_000_000 * NS_PER_S
RATE_HZ = 48_000


class Listener:
    """What it says of each block and gap, as JSON values."""

    def __init__(self) -> None:
        self._hearing = Hearing(AudioFormat(RATE_HZ))
        self._timebase = Timebase(RATE_HZ, ClockSettings(latency_ns=0))
        self._second = 0

    def take(self, sound: AudioBlock | AudioGap) -> Iterator[dict[str, Any]]:
        if isinstance(sound, AudioGap):
            yield from map(self._heard, self._hearing.on_gap(sound))
            self._timebase.on_gap(sound)
            told = {"gap": sound.first_sample, "lost": sound.lost, "reason": sound.reason}
            yield {**told, "host_ns": sound.host_ns}
            return
        self._timebase.on_block(sound)
        yield from map(self._heard, self._hearing.on_block(sound))
        if sound.host_ns // NS_PER_S != self._second:
            self._second = sound.host_ns // NS_PER_S
            yield from self._pass_second(sound)

    def _pass_second(self, block: AudioBlock) -> Iterator[dict[str, Any]]:
        utc_ns = block.host_ns + UTC_OF_HOST_NS
        self._timebase.on_sign(TimeMark(block.host_ns, utc_ns, NS_PER_US, "sim"))
        stamp = self._timebase.stamp_sample(block.end_sample)
        told = {"state": self._timebase.state, "sigma_ns": stamp.sigma_ns}
        yield {"second": block.end_sample, "host_ns": block.host_ns, **told}

    def _heard(self, onset: Onset) -> dict[str, Any]:
        stamp = self._timebase.stamp_sample(onset.sample)
        sigma_ns = onset.sigma_total_samples * NS_PER_S / RATE_HZ
        told = {"utc_ns": stamp.utc_ns, "sigma_ns": stamp.sigma_ns, "onset_sigma_ns": sigma_ns}
        return {"onset": onset.sample, **told, "strength": onset.strength}


def main() -> None:
    device, buffer_ms = sys.argv[1], int(sys.argv[2])
    logging.basicConfig(level=logging.INFO)
    listener = Listener()  # takes a second
    microphone = open_portaudio(
        device, RATE_HZ, 1024, SystemClock(), dtype="int16", buffer_ms=buffer_ms
    )
    print(json.dumps({"buffer_ms": microphone.buffer_ms}), flush=True)
    while sound := microphone.read():
        for told in listener.take(sound):
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
