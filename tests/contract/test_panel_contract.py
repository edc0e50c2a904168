"""The Panel port: what it promises, over simulated pins, and over a Pi's where there are any."""

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from agent.adapters import panel as module
from agent.adapters.panel import GpioPanel
from agent.errors import PanelError
from agent.ports import Contact, Panel, PanelEvent, Pressed

PINS = {
    "power_led": 17,
    "clock_led": 27,
    "link_led": 22,
    "hearing_led": 23,
    "button": 24,
    "tamper": 25,
}


class Wired(MockPin):
    """A pin whose contact to ground is stronger than any pull-up, as copper is."""

    grounded: ClassVar[set[str]] = set()

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.info.name in self.grounded:
            self.drive_low()


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    made = MockFactory(pin_class=Wired)
    yield made
    Wired.grounded.clear()
    made.close()


@pytest.fixture
def panel(factory: MockFactory, tmp_path: Path) -> Iterator[Panel]:
    Wired.grounded.add(f"GPIO{PINS['tamper']}")
    made = GpioPanel(PINS, factory, tmp_path)
    yield made
    made.close()


def until(is_so: Callable[[], bool]) -> bool:
    """Whether it comes to be so, within a time that no machine needs."""
    deadline_s = time.monotonic() + 20
    while not is_so() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return is_so()


def told(panel: Panel, count: int) -> list[PanelEvent]:
    events: list[PanelEvent] = []
    until(lambda: (events.extend(panel.poll()), len(events) >= count)[1])
    return events


def test_each_light_follows_its_pattern(panel: Panel, factory: MockFactory) -> None:
    """On and off stay, the others change; a light that is not told of stays as it was."""
    pin = factory.pin(PINS["clock_led"])
    panel.show({"clock": "on", "link": "off"})
    assert (pin.state, factory.pin(PINS["link_led"]).state) == (1, 0)
    panel.show({"hearing": "fast"})
    assert pin.state == 1
    seen = factory.pin(PINS["hearing_led"])
    assert until(lambda: [one.state for one in seen.states].count(True) >= 2)
    panel.show({"hearing": "off", "clock": "off"})
    assert (pin.state, seen.state) == (0, 0)


@pytest.mark.parametrize(("pattern", "on_s", "off_s"), [("slow", 1.0, 1.0), ("blip", 0.1, 1.9)])
def test_patterns_have_their_times(pattern: str, on_s: float, off_s: float) -> None:
    """What the page of patterns says is what is driven."""
    assert module._BLINK_S[pattern] == (on_s, off_s)


def test_the_same_pattern_again_does_not_begin_anew(panel: Panel, factory: MockFactory) -> None:
    """Told each second, a slow light still blinks slowly."""
    panel.show({"power": "slow"})
    seen = factory.pin(PINS["power_led"])
    assert until(lambda: bool(seen.state))
    before = len(seen.states)
    for _ in range(50):
        panel.show({"power": "slow"})
    assert len(seen.states) <= before + 1


def test_a_short_press_and_a_long_one_are_told_apart(
    factory: MockFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short press is told when the button is let go, a long one while it is still held, once."""
    monkeypatch.setattr(module, "LONG_PRESS_S", 0.3)
    made = GpioPanel({"button": 24}, factory, tmp_path)
    button = factory.pin(24)
    assert made.poll() == []
    button.drive_low()
    button.drive_high()
    assert told(made, 1) == [Pressed("short")]
    button.drive_low()
    assert told(made, 1) == [Pressed("long")]
    button.drive_high()
    time.sleep(0.05)
    assert made.poll() == []
    made.close()


def test_the_box_is_told_of_at_first_and_at_each_change(panel: Panel, factory: MockFactory) -> None:
    """Also an opening that is over before anyone asks."""
    assert panel.poll() == [Contact(is_open=False)]
    contact = factory.pin(PINS["tamper"])
    contact.drive_high()
    contact.drive_low()
    assert told(panel, 2) == [Contact(is_open=True), Contact(is_open=False)]


def test_a_box_that_is_open_at_the_start_is_told(factory: MockFactory, tmp_path: Path) -> None:
    """Nobody needs to open it twice."""
    made = GpioPanel({"tamper": 25}, factory, tmp_path)
    assert made.poll() == [Contact(is_open=True)]
    made.close()


def test_closing_puts_the_lights_out_and_frees_the_pins(
    panel: Panel, factory: MockFactory, tmp_path: Path
) -> None:
    """Twice is harmless; the next run has the same pins."""
    panel.show({"power": "on", "link": "fast"})
    panel.close()
    panel.close()
    panel.show({"power": "on"})
    assert (panel.poll(), factory.pin(PINS["power_led"]).state) == ([], 0)
    GpioPanel(PINS, factory, tmp_path).close()


def test_a_pin_that_a_pulse_holds_is_refused_by_name(factory: MockFactory, tmp_path: Path) -> None:
    """The overlay's node is named, and no pin has been touched."""
    (tmp_path / "pps@12").mkdir()
    (tmp_path / "pps@12" / "gpios").write_bytes(struct.pack(">3I", 7, 22, 0))
    with pytest.raises(PanelError, match=r"panel.link_led = 22: GPIO 22 is held .*\(pps@12\)"):
        GpioPanel(PINS, factory, tmp_path)
    assert factory.pin(PINS["power_led"]).function == "input"


def test_a_pin_that_cannot_be_opened_frees_those_before_it(
    factory: MockFactory, tmp_path: Path
) -> None:
    """One line that names the setting; the lights before it are free again."""
    taken = GpioPanel({"link_led": 22}, factory, tmp_path)
    with pytest.raises(PanelError, match="GPIO 22 cannot be used") as error:
        GpioPanel(PINS, factory, tmp_path)
    assert "\n" not in str(error.value)
    taken.close()
    GpioPanel(PINS, factory, tmp_path).close()


def test_a_computer_without_header_has_simulated_pins(tmp_path: Path) -> None:
    """The panel can be tried anywhere."""
    made = GpioPanel(PINS, device_tree=tmp_path)
    assert made.is_simulated
    made.show({"power": "on"})
    made.close()


def test_a_pi_whose_pins_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    """No lgpio, no chip or no right to it: what to install, and which group, is told."""
    (tmp_path / "model").write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    with pytest.raises(PanelError, match="install lgpio, and let the agent's user") as error:
        GpioPanel(PINS, device_tree=tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_of_gpiozero_is_imported_where_no_panel_is_configured() -> None:
    """The whole daemon, assembled without a pin, has not heard of it."""
    code = "import agent.app.wiring, sys; print(*[n for n in sys.modules if 'gpio' in n])"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ended.stdout.split() == []
