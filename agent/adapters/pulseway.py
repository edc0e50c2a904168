"""By which way a pulse comes: a pin of the computer, or a serial adapter on USB, which has frames.

A pulse that comes through USB is told at the end of a frame. Nothing in its times shows that: where
the frames' clock is near UTC's pace they slide past smoothly, for minutes. The kernel knows.
"""

from dataclasses import replace
from pathlib import Path

from agent.core.clock.time_signs import Pulse, TimeSign
from agent.core.units import NS_PER_MS
from agent.ports import TimeReference

USB_FRAME_NS = NS_PER_MS  # high speed has 125 us, but also hosts that look once a frame
_SYS = Path("/sys")


def frame_of(device: Path, sys: Path = _SYS) -> int | None:
    """The frame in ns of the bus that the pulses of `device` (in /dev or in sysfs) come through;
    0 where they come through none, None where the kernel does not say."""
    source = device if device.is_dir() else sys / "class" / "pps" / device.name
    try:
        terminal = (source / "path").read_text("utf-8").strip()
        if not terminal:  # a pin, or a card
            return USB_FRAME_NS if _is_usb(source) else 0
        return USB_FRAME_NS if _is_usb(sys / "class" / "tty" / Path(terminal).name) else 0
    except (OSError, UnicodeDecodeError):
        return None


def _is_usb(node: Path) -> bool:
    where = (node / "device").resolve(strict=True) if (node / "device").exists() else node.resolve()
    return any(part.startswith("usb") for part in where.parts)


class ToldWay:
    """A source of pulses that says of each by which way it came."""

    def __init__(self, source: TimeReference, frame_ns: int | None) -> None:
        self._source, self._frame_ns = source, frame_ns

    def poll(self) -> list[TimeSign]:
        """What the source tells."""
        return [
            replace(sign, frame_ns=self._frame_ns) if isinstance(sign, Pulse) else sign
            for sign in self._source.poll()
        ]

    def close(self) -> None:
        """Close the source."""
        self._source.close()
