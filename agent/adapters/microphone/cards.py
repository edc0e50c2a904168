"""Stable names of sound cards: by its id, or by the USB port that it is plugged into.

Numbers of cards follow the order in which they were found, and two equal sticks differ in nothing
else: the second is called `Device_1` today and may be the first tomorrow. The port does not change.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_CARD = re.compile(r"card(\d+)\Z")
_USB_INTERFACE = re.compile(r"(\d+-[\d.]+):[\d.]+\Z")
_IN_PORTAUDIO = re.compile(r"\(hw:(\d+),\d+\)")
USB = "usb:"


@dataclass(frozen=True, slots=True)
class Card:
    """One card of the kernel's: its number now, its id, and its USB port, such as "1-1.2"."""

    number: int
    id: str
    usb_port: str = ""

    @property
    def stable_name(self) -> str:
        """What to call it in the settings: by port where it can be unplugged, else by id."""
        return f"{USB}{self.usb_port}" if self.usb_port else self.id


def cards(sysfs: Path = Path("/sys/class/sound")) -> list[Card]:
    """The cards that are there now, by number; none where the kernel has no sound."""
    found = []
    for path in sysfs.glob("card*"):
        if match := _CARD.match(path.name):
            found.append(Card(int(match[1]), _text(path / "id"), _usb_port(path / "device")))
    return sorted(found, key=lambda card: card.number)


def card_of(wanted: str, known: list[Card]) -> Card | None:
    """The card that has this stable name; None where none has it."""
    for card in known:
        if wanted in (card.id, card.stable_name, f"{USB}{card.usb_port}"):
            return card
    return None


def card_in(portaudio_name: str, known: list[Card]) -> Card | None:
    """The card of a device that PortAudio lists; None for what is no card of the kernel's."""
    match = _IN_PORTAUDIO.search(portaudio_name)
    return next((card for card in known if match and card.number == int(match[1])), None)


def holder(card: Card, proc: Path = Path("/proc")) -> str:
    """Who records from the card, as "NAME (pid N)"; empty where nobody is named."""
    for status in (proc / f"asound/card{card.number}").glob("pcm*c/sub*/status"):
        if match := re.search(r"^owner_pid\s*:\s*(\d+)", _text(status), re.MULTILINE):
            name = _text(proc / match[1] / "comm") or "a program"
            return f"{name} (pid {match[1]})"
    return ""


def _usb_port(device: Path) -> str:
    match = _USB_INTERFACE.search(device.resolve().name)
    return match[1] if match else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
