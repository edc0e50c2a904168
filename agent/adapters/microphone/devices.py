"""Which sound devices there are, what they take, and why one cannot be opened, in one line.

Asked through a child process (`enquiry`), which may be aborted or hang without harm.
"""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.adapters.microphone.cards import Card, card_in, card_of, cards, holder
from agent.errors import MicrophoneError

ANSWER_S = 8.0
_CHILD = Path(__file__).with_name("enquiry.py")


@dataclass(frozen=True, slots=True)
class SoundDevice:
    """One input: `setting` is its value for audio.source, by a stable name where it has one.

    `rates_hz` are those among the usual ones that it takes on one channel; none while another
    program has it.
    """

    name: str
    setting: str
    rates_hz: tuple[int, ...]
    channels: int
    is_default: bool


def sound_devices() -> list[SoundDevice]:
    """All inputs of this host, as PortAudio sees them now. Raises MicrophoneError ("broken")."""
    known = cards()
    return [_device(one, known) for one in _ask("list")["devices"]]


def find_device(wanted: str, rate_hz: int, channels: int) -> str:
    """PortAudio's name of the input that `wanted` means ("default", a stable name of a card, or
    part of a name), once it takes such a stream. Raises MicrophoneError, which says why it does
    not, and what there is instead."""
    known = cards()
    card = card_of(wanted, known)
    name, alsa_name = (f"(hw:{card.number},", f"hw:{card.number}") if card else (wanted, wanted)
    answer = _ask("check", name, alsa_name, str(rate_hz), str(channels))
    if answer["verdict"] == "good":
        return str(answer["found"][0])
    there_are = [_device(one, known) for one in answer["devices"]]
    found = [one for one in there_are if one.name in answer.get("found", ())]
    card = card or next((card_in(one.name, known) for one in found), None)
    stream = f"{rate_hz} Hz on {_channels(channels)}"
    why = {
        "absent": lambda: f"no such device{_listed(there_are)}: plug it in, or set audio.source",
        "ambiguous": lambda: f"is the name of several devices{_listed(found)}: set audio.source",
        "busy": lambda: f"is in use by {_holder(card)}: stop that",
        "refused": lambda: _refused(stream, found, there_are, answer["detail"]),
    }[answer["verdict"]]()
    raise MicrophoneError(answer["verdict"], f"portaudio:{wanted}: {why}")


def _refused(
    stream: str, found: list[SoundDevice], there_are: list[SoundDevice], detail: str
) -> str:
    takes = f"nor any of the usual rates ({detail})"
    if rates := _rates(found[0].rates_hz) if found else "":
        takes = f"it takes {rates} on up to {_channels(found[0].channels)}"
    others = _listed([one for one in there_are if one not in found], "other devices:")
    return f"does not take {stream}, {takes}{others}: set audio.rate_hz"


def _holder(card: Card | None) -> str:
    return (holder(card) if card else "") or "another program"


def _listed(devices: list[SoundDevice], heading: str = "there are") -> str:
    if not devices:
        return ""
    shown = (f"{one.setting} ({_rates(one.rates_hz) or 'in use'})" for one in devices)
    return f"; {heading} {', '.join(shown)}"


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _rates(rates_hz: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, rates_hz))} Hz" if rates_hz else ""


def _device(one: dict[str, Any], known: list[Card]) -> SoundDevice:
    card = card_in(one["name"], known)
    name = card.stable_name if card else one["name"]
    rates_hz = tuple(one["rates_hz"])
    return SoundDevice(
        one["name"], f"portaudio:{name}", rates_hz, one["channels"], one["is_default"]
    )


def _ask(*words: str) -> dict[str, Any]:
    """The child's answer. Raises MicrophoneError where it has none."""
    command = [sys.executable, str(_CHILD), *words]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise _broken(f"no answer within {ANSWER_S:.0f} s", "unplug sound devices") from None
    except OSError as error:
        raise _broken(str(error.strerror), "restart the host") from None
    try:
        answer: dict[str, Any] = json.loads(child.stdout)
    except json.JSONDecodeError:
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else "a failure"
        last = (child.stderr.strip().splitlines() or ["no word"])[-1]
        remedy = "mend or remove /etc/asound.conf and ~/.asoundrc"
        raise _broken(f"PortAudio ended by {how} ({last[:160]})", remedy) from None
    if answer["verdict"] == "broken":
        detail = answer["detail"]
        is_missing = "No module" in detail or "not found" in detail
        remedy = "install libportaudio2" if is_missing else "mend or remove /etc/asound.conf"
        raise _broken(detail, remedy)
    return answer


def _broken(what: str, remedy: str) -> MicrophoneError:
    return MicrophoneError("broken", f"sound devices cannot be listed: {what}: {remedy}")
