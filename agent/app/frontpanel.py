"""The panel at work: lights show the findings, the button asks, the contact tells of the box."""

from collections.abc import Callable, Iterable

from agent.app.checks.lights import lights_of
from agent.core.records.findings import Finding, found, healthy, unknown
from agent.ports import Contact, Panel, Pressed


class FrontPanel:
    """One step a second. `self_test` is what a short press asks for, `shut_down` a long one."""

    def __init__(
        self, panel: Panel, self_test: Callable[[], None], shut_down: Callable[[], None]
    ) -> None:
        self._panel, self._self_test, self._shut_down = panel, self_test, shut_down
        self._is_open: bool | None = None
        self._was_opened = False

    def step(self, findings: Iterable[Finding]) -> None:
        """Do what was asked since the last step, and show what was found out."""
        self._was_opened = False
        for event in self._panel.poll():
            match event:
                case Pressed("short"):
                    self._self_test()
                case Pressed():
                    self._shut_down()
                case Contact(is_open):
                    self._was_opened |= is_open
                    self._is_open = is_open
        self._panel.show(lights_of(findings))

    def tamper(self) -> Finding:
        """Whether the box is open, or was for a moment since the step before the last."""
        if self._is_open is None:
            return unknown("tamper", "no contact is configured")
        if self._is_open or self._was_opened:
            return found("opened", "" if self._is_open else "closed again")
        return healthy("tamper", "closed")
