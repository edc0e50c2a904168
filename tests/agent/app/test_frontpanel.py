"""The panel at work: what lights say is what the check says; the button asks, the box tells."""

from itertools import pairwise

import pytest

from agent.app.checks.lights import LIGHT_OF, NEEDED, PATTERN_OF, lights_of, status_of
from agent.app.frontpanel import FrontPanel
from agent.core.records.findings import CHECKS, FAULTS, found, healthy, unknown, verdict
from agent.ports import Contact, Pressed

WELL = [healthy(check) for check in CHECKS]


class Board:
    """A panel without pins (Panel port)."""

    def __init__(self) -> None:
        self.events, self.shown = [], {}

    def show(self, lights):
        self.shown = {**self.shown, **lights}

    def poll(self):
        told, self.events = self.events, []
        return told

    def close(self):
        self.events = []


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def front(board: Board, asked: list[str]) -> FrontPanel:
    return FrontPanel(board, lambda: asked.append("test"), lambda: asked.append("down"))


def test_every_check_has_its_light() -> None:
    """Nothing that can go wrong is dark; and each light stands for something."""
    assert set(LIGHT_OF) == set(CHECKS)
    assert set(LIGHT_OF.values()) == set(NEEDED)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_each_fault_shows_on_its_light_alone(fault: str) -> None:
    """As severe as the check calls it; the other lights stay on."""
    findings = [one for one in WELL if one.check != FAULTS[fault].check] + [found(fault)]
    lights = lights_of(findings)
    ill = LIGHT_OF[FAULTS[fault].check]
    assert lights[ill] == PATTERN_OF[FAULTS[fault].severity]
    assert {lights[light] for light in lights if light != ill} == {"on"}
    assert verdict(findings) == FAULTS[fault].severity


def test_what_is_not_known_is_no_steady_light() -> None:
    """A node that has not heard yet blips; one that knows all of it is on."""
    assert set(lights_of(WELL).values()) == {"on"}
    lights = lights_of([unknown(check, "no sound yet") for check in CHECKS])
    assert {lights[light] for light in ("clock", "link", "hearing")} == {"blip"}
    assert status_of("hearing", [healthy("microphone")]) == "unknown"


def test_the_four_patterns_are_told_apart() -> None:
    """No two statuses look alike."""
    assert all(one != other for one, other in pairwise(sorted(PATTERN_OF.values())))


def test_a_press_asks_once(front: FrontPanel, board: Board, asked: list[str]) -> None:
    """Short: the self-test. Long: the end."""
    board.events = [Pressed("short"), Pressed("long")]
    front.step(WELL)
    front.step(WELL)
    assert asked == ["test", "down"]
    assert board.shown["power"] == "on"


def test_an_open_box_is_told_until_it_is_closed(front: FrontPanel, board: Board) -> None:
    """Also one that was open for a blink between two looks."""
    assert front.tamper().status == "unknown"
    board.events = [Contact(is_open=False)]
    front.step(WELL)
    assert front.tamper().status == "healthy"
    board.events = [Contact(is_open=True), Contact(is_open=False)]
    front.step(WELL)
    assert front.tamper() == found("opened", "closed again")
    front.step(WELL)
    assert front.tamper().status == "healthy"
