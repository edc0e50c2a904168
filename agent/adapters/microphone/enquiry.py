"""What a child process finds out about the host's sound devices; it prints one JSON object.

A broken ALSA configuration aborts whoever initialises PortAudio, an absent device or a wrong rate
makes PortAudio complain on stderr with lines of its C source: both stay in the child. It runs as a
file and imports nothing of the agent, so that it is there in a fraction of a second.

    enquiry.py list
    enquiry.py check NAME ALSA_NAME RATE_HZ CHANNELS
"""

import ctypes
import json
import sys
import time
from contextlib import suppress
from errno import EBUSY
from typing import Any

RATES_HZ = (12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000)
ENOUGH_S = 4.0  # then the rest of the rates are not tried: somebody waits for the answer

_CAPTURE, _NONBLOCK = 1, 1
_DEVICE_UNAVAILABLE = -9985


def matching(names: list[str], wanted: str) -> list[str]:
    """Those of `names` that are meant: the one of that very name, else all that hold the words of
    `wanted` in their order, in small letters or capitals."""
    exact = [name for name in names if name.lower() == wanted.lower()]
    return exact or [name for name in names if _holds(name.lower(), wanted.lower().split())]


def _holds(name: str, words: list[str]) -> bool:
    at = 0
    for word in words:
        at = name.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True


class Host:
    """The sound devices of this host, as PortAudio sees them now."""

    def __init__(self) -> None:
        import sounddevice

        self._library = sounddevice
        self._until_s = time.monotonic() + ENOUGH_S
        with suppress(AttributeError, OSError):  # PortAudio of another system
            ctypes.CDLL(sounddevice._libname).PaAlsa_SetRetriesBusy(0)
        default = sounddevice.default.device[0]
        self.inputs = [
            {
                "name": one["name"],
                "channels": one["max_input_channels"],
                "is_default": at == default,
            }
            for at, one in enumerate(sounddevice.query_devices())
            if one["max_input_channels"] > 0
        ]

    def names(self) -> list[str]:
        return [one["name"] for one in self.inputs]

    def default(self) -> list[str]:
        return [one["name"] for one in self.inputs if one["is_default"]]

    def fault(self, name: str, rate_hz: int, channels: int) -> tuple[int, str] | None:
        """Why the device takes no such stream: PortAudio's number and words; None if it does."""
        try:
            self._library.check_input_settings(
                device=self._index(name), channels=channels, dtype="int32", samplerate=rate_hz
            )
        except self._library.PortAudioError as error:
            number = error.args[1] if len(error.args) > 1 else 0
            return number, " ".join(str(error).split())
        return None

    def with_rates(self) -> list[dict[str, Any]]:
        """All inputs, each with the rates that it takes; some untried once that takes too long."""
        return [one | {"rates_hz": self._rates(one["name"])} for one in self.inputs]

    def _rates(self, name: str) -> list[int]:
        return [
            rate
            for rate in RATES_HZ
            if time.monotonic() < self._until_s and self.fault(name, rate, 1) is None
        ]

    def _index(self, name: str) -> int:
        devices = enumerate(self._library.query_devices())
        return next(at for at, one in devices if one["name"] == name and one["max_input_channels"])


def alsa_errno(name: str) -> int:
    """What ALSA itself says to whoever opens `name`, for PortAudio leaves out what is in use: 0,
    or an errno; -1 where there is no ALSA."""
    try:
        library = ctypes.CDLL("libasound.so.2")
    except OSError:
        return -1
    pcm = ctypes.c_void_p()
    error = library.snd_pcm_open(ctypes.byref(pcm), name.encode(), _CAPTURE, _NONBLOCK)
    if error == 0:
        library.snd_pcm_close(pcm)
    return abs(int(error))


def check(name: str, alsa_name: str, rate_hz: int, channels: int) -> dict[str, Any]:
    """Whether a stream can be opened, and under which name; else why not, and what there is."""
    host = Host()
    found = host.default() if name == "default" else matching(host.names(), name)
    if len(found) > 1:
        return _refusal("ambiguous", host, found=found)
    if not found:
        is_busy = alsa_errno(alsa_name) == EBUSY
        return _refusal("busy" if is_busy else "absent", host)
    fault = host.fault(found[0], rate_hz, channels)
    if fault is None:
        return {"verdict": "good", "found": found}
    is_busy = fault[0] == _DEVICE_UNAVAILABLE
    return _refusal("busy" if is_busy else "refused", host, found=found, detail=fault[1])


def _refusal(verdict: str, host: Host, **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "devices": host.with_rates(), **more}


def main(words: list[str]) -> dict[str, Any]:
    try:
        if words[0] == "list":
            return {"verdict": "good", "devices": Host().with_rates()}
        return check(words[1], words[2], int(words[3]), int(words[4]))
    except Exception as error:  # no PortAudio, or one that cannot begin
        return {"verdict": "broken", "detail": " ".join(f"{error}".split())}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
