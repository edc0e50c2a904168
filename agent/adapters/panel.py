"""Lights, a button and the box's contact at the pins of a Raspberry Pi, through gpiozero.

Imported only where a pin is configured. On a Pi the kernel's GPIO chip is used (lgpio), on any
other computer pins are simulated. Who holds a pin already is told by name.
"""

import logging
import os
import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.errors import PanelError
from agent.ports import LONG_PRESS_S, Contact, Light, PanelEvent, Pattern, Pressed

_DEVICE_TREE = Path("/proc/device-tree")
_BOUNCE_S = 0.02
_MOST_EVENTS = 64
_BLINK_S: dict[Pattern, tuple[float, float]] = {
    "slow": (1.0, 1.0),
    "fast": (0.17, 0.17),
    "blip": (0.1, 1.9),
}

log = logging.getLogger("earshot")


class GpioPanel:
    """The panel at `pins`, BCM numbers by what is at them: power_led, clock_led, link_led,
    hearing_led, button, tamper. Button and contact close to ground. Raises PanelError.

    `factory` makes gpiozero's pins; by default those of this computer. Whatever gpiozero raises
    becomes a PanelError; its own threads only fill a queue. `is_simulated` where there is no header
    and nobody gave a factory: what its button and contact say then means nothing.
    """

    def __init__(
        self, pins: Mapping[str, int], factory: Any = None, device_tree: Path = _DEVICE_TREE
    ) -> None:
        refuse_held(pins, device_tree)
        self._events: deque[PanelEvent] = deque(maxlen=_MOST_EVENTS)
        self._lights: dict[Light, Any] = {}
        self._shown: dict[Light, Pattern] = {}
        self._opened = ExitStack()
        self.is_simulated = factory is None and not is_pi(device_tree)
        with ExitStack() as opened:
            self._factory = factory or opened.enter_context(_this_factory(device_tree))
            for name, pin in pins.items():
                self._open(name, pin, opened)
            self._opened = opened.pop_all()

    def show(self, lights: Mapping[Light, Pattern]) -> None:
        """Let each light follow its pattern until told otherwise."""
        for light, pattern in lights.items():
            if light in self._lights and self._shown.get(light) != pattern:
                self._shown[light] = pattern
                self._set(self._lights[light], pattern)

    def poll(self) -> list[PanelEvent]:
        """What happened since the last call, in order."""
        told: list[PanelEvent] = []
        while self._events:
            told.append(self._events.popleft())
        return told

    def close(self) -> None:
        """Put the lights out and free the pins."""
        for led in self._lights.values():
            led.off()
        self._lights.clear()
        self._opened.close()
        self._events.clear()

    def _open(self, name: str, pin: int, opened: ExitStack) -> None:
        try:
            if name.endswith("_led"):
                light: Any = name.removesuffix("_led")
                self._lights[light] = opened.enter_context(self._led(pin))
            elif name == "button":
                self._watch_button(opened.enter_context(self._switch(pin)))
            else:
                self._watch_box(opened.enter_context(self._switch(pin)))
        except Exception as error:  # gpiozero's and lgpio's errors have no common root
            told = " ".join(str(error).split()) or type(error).__name__
            raise PanelError(
                f"panel.{name} = {pin}: GPIO {pin} cannot be used: {told}: does another program "
                "or overlay hold it?"
            ) from None

    def _led(self, pin: int) -> Any:
        from gpiozero import LED

        return LED(pin, pin_factory=self._factory)

    def _switch(self, pin: int) -> Any:
        from gpiozero import Button

        return Button(pin, bounce_time=_BOUNCE_S, hold_time=LONG_PRESS_S, pin_factory=self._factory)

    def _watch_button(self, button: Any) -> None:
        """A press is told when it ends, a long one as soon as it is long, and then not again."""
        is_long = [False]

        def pressed() -> None:
            is_long[0] = False

        def held() -> None:
            is_long[0] = True
            self._events.append(Pressed("long"))

        def released() -> None:
            if not is_long[0]:
                self._events.append(Pressed("short"))

        button.when_pressed, button.when_held, button.when_released = pressed, held, released

    def _watch_box(self, contact: Any) -> None:
        self._events.append(Contact(is_open=not contact.is_pressed))
        contact.when_pressed = self._teller(is_open=False)
        contact.when_released = self._teller(is_open=True)

    def _teller(self, *, is_open: bool) -> Callable[[], None]:
        return lambda: self._events.append(Contact(is_open=is_open))

    @staticmethod
    def _set(led: Any, pattern: Pattern) -> None:
        if pattern in _BLINK_S:
            on_s, off_s = _BLINK_S[pattern]
            led.blink(on_time=on_s, off_time=off_s, background=True)
        elif pattern == "on":
            led.on()
        else:
            led.off()


def refuse_held(pins: Mapping[str, int], device_tree: Path = _DEVICE_TREE) -> None:
    """Raises PanelError for a pin that the device tree gives to a pulse per second."""
    held = dict(pps_pins(device_tree))
    for name, pin in pins.items():
        if pin in held:
            raise PanelError(
                f"panel.{name} = {pin}: GPIO {pin} is held by the pulse's overlay ({held[pin]}): "
                "choose another pin, or move the pulse with gpiopin= in config.txt"
            )


def pps_pins(device_tree: Path) -> Iterator[tuple[int, str]]:
    """Pins that pps-gpio holds, with its node's name; `gpios` is <phandle pin flags>."""
    for gpios in sorted(device_tree.glob("pps*/gpios")):
        try:
            raw = gpios.read_bytes()
        except OSError:
            continue
        if len(raw) >= 12:
            yield struct.unpack(">3I", raw[:12])[1], gpios.parent.name


def is_pi(device_tree: Path = _DEVICE_TREE) -> bool:
    """Whether this computer has a Raspberry Pi's header."""
    try:
        return (device_tree / "model").read_text("utf-8").startswith("Raspberry Pi")
    except (OSError, UnicodeDecodeError):
        return False


def _this_factory(device_tree: Path) -> Any:
    """The pins of this computer, as something that closes."""
    if not is_pi(device_tree):
        from gpiozero.pins.mock import MockFactory

        log.warning("panel: this computer has no GPIO header: its pins are simulated")
        return _Closing(MockFactory())
    os.environ.setdefault("LG_WD", "/run/earshot")  # where lgpio lays its pipe
    try:
        from gpiozero.pins.lgpio import LGPIOFactory

        return _Closing(LGPIOFactory())
    except Exception as error:  # the module is missing, or no chip may be opened
        raise PanelError(
            f"panel: GPIO cannot be used: {error}: install lgpio, and let the agent's user into "
            "the group gpio"
        ) from None


class _Closing:
    """A pin factory that is closed at the end."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory

    def __enter__(self) -> Any:
        return self._factory

    def __exit__(self, *told: object) -> None:
        self._factory.close()
