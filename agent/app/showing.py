"""What a running node shows and who asks it: state file, wishes, panel; and what it is told there.

A part of the composition root (`wiring`), which is the only room that uses it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import agent
from agent.adapters.statefile import StateFile, WishFile, boot_id
from agent.adapters.trialsettings import TrialSettings
from agent.app.frontpanel import FrontPanel
from agent.app.health import Reporter
from agent.app.linkhealth import LinkHealth, paper_in
from agent.app.node import Node, SelfTest
from agent.app.uplink import Uplink
from agent.core.clock.node_state import NodeState
from agent.core.records.findings import Finding, found, healthy, unknown
from agent.core.trust.certificate_time import TrustedTime
from agent.errors import PanelError
from agent.sections import PanelSection

POWER_OFF = "power off: the button was held"


class Showing:
    """One step a second, on the node's thread. `stop` ends the run for a reason."""

    def __init__(
        self,
        trial: TrialSettings,
        uplink: Uplink,
        backlog: Callable[[], int],
        now: Callable[[], TrustedTime],
        keyid: Callable[[], str],
        stop: Callable[[str], None],
        opened: ExitStack,
    ) -> None:
        settings = trial.settings
        shown = Path(settings.runtime.directory)
        self._state_file, self._wishes = StateFile(shown), WishFile(shown)
        self._boot, self._uplink, self._trial, self._keyid = boot_id(), uplink, trial, keyid
        certificate = settings.broker.certificate
        paper = paper_in(Path(certificate)) if certificate else None
        self._is_test_wanted = False
        self._panel_fault, self._is_simulated = "", False
        self._front = self._panel(settings.panel, stop, opened)
        self.reporters: tuple[Reporter, ...] = (
            LinkHealth(uplink, settings.broker.url, backlog, paper, now),
            self._report,
        )

    def step(self, node: Node, source: str, host_ns: int) -> NodeState:
        """Take what is asked, and show how it is."""
        if wish := self._wishes.take():
            self._is_test_wanted |= wish.verb == "self-test"
            node.visit.take(wish, host_ns)
        if self._is_test_wanted:
            self._is_test_wanted = False
            node.step(SelfTest(host_ns))
        state = node.state(host_ns, source, self._boot, os.getpid(), self._uplink.is_receipted)
        self._state_file.post(state)
        if self._front:
            self._front.step(state.findings)
        return state

    def _panel(
        self, section: PanelSection, stop: Callable[[str], None], opened: ExitStack
    ) -> FrontPanel | None:
        """The panel, if any pin is set; a panel that fails deafens nobody."""
        if not section.pins:
            return None
        from agent.adapters.panel import GpioPanel  # gpiozero, where there is a use for it

        try:
            panel = GpioPanel(section.pins)
        except PanelError as error:
            self._panel_fault = str(error)
            return None
        self._is_simulated = panel.is_simulated
        opened.callback(panel.close)
        return FrontPanel(panel, self._want_test, lambda: stop(POWER_OFF))

    def _want_test(self) -> None:
        self._is_test_wanted = True

    def _report(self, host_ns: int) -> Iterator[Finding]:
        """What is known of settings, keys, version and panel (`health.Reporter`)."""
        if self._trial.trouble:
            yield found("settings-fallback", self._trial.fault)
        else:
            on_trial = ", on trial" if self._trial.is_on_trial else ""
            yield healthy("settings", f"digest {self._trial.settings.digest()[:8]}{on_trial}")
        if self._trial.settings.time.source == "sim":
            yield found("time-simulated", 'time.source = "sim"')
        yield healthy("keys", f"evidence key {self._keyid()}")
        yield healthy("version", agent.__version__)
        if self._panel_fault:
            yield found("panel-failed", self._panel_fault)
        elif self._is_simulated:
            why = "this computer has no GPIO header: its pins are simulated"
            yield from (unknown("panel", why), unknown("tamper", why))
        elif self._front:
            yield healthy("panel", f"{len(self._trial.settings.panel.pins)} pins")
            if self._trial.settings.panel.tamper is not None:
                yield self._front.tamper()
