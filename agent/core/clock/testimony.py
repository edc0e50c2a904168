"""Witnesses heard: each word about the second is held against the count that stands.

Those that agree exclude what their kind can (`witnesses`); those that do not are named, and while
they stand nothing is locked: nobody here can tell which of both is wrong.
"""

from typing import Literal

from agent.core.clock.leap_seconds import leap_seconds_at
from agent.core.clock.time_signs import HostWord, ReceiverReport
from agent.core.clock.witnesses import Witnesses
from agent.core.units import NS_PER_MS, NS_PER_S

_NAMES_A_SECOND_NS = 400 * NS_PER_MS
_SHOWS_AN_EDGE_NS = 45 * NS_PER_MS  # pulses are 100 ms long or more, or a few ms at most
_AGREE_AGAIN = 3
_AWAITED_NS = 30 * NS_PER_S
_SLACK_NS = 5 * NS_PER_MS
_WIDTHS_TO_BELIEVE = 3
_SHORT_NS = 450 * NS_PER_MS

WitnessAgainst = Literal[
    "host's clock names another second",
    "host's clock has the second elsewhere",
    "leap seconds are the firmware's default",
    "leap seconds are not those of the list",
    "pulses are seen at their trailing edge",
]
OTHER_SECOND: WitnessAgainst = "host's clock names another second"
ELSEWHERE: WitnessAgainst = "host's clock has the second elsewhere"
DEFAULT_LEAP: WitnessAgainst = "leap seconds are the firmware's default"
WRONG_LEAP: WitnessAgainst = "leap seconds are not those of the list"
TRAILING: WitnessAgainst = "pulses are seen at their trailing edge"


class Testimony:
    """Feed it what is said; `against` names what speaks against the count now."""

    def __init__(self, can_be: Witnesses) -> None:
        self.witnesses = can_be
        self._against: dict[WitnessAgainst, None] = {}
        self._report = ReceiverReport(0)
        self._agreed = self._widths = 0
        self.host_off_ns: float | None = None
        self._host_since_ns: int | None = None
        self._is_host_tight = False

    def is_awaited(self, host_ns: int) -> bool:
        """Whether the host's clock, which speaks, may soon show a bound that tells the edge."""
        since_ns = self._host_since_ns
        if since_ns is None or self._is_host_tight or "edge" not in self.witnesses.alternatives:
            return False
        return host_ns - since_ns < _AWAITED_NS

    @property
    def against(self) -> tuple[WitnessAgainst, ...]:
        """Everything that speaks against the count, oldest first."""
        return tuple(self._against)

    @property
    def confirmed(self) -> bool:
        """Each alternative is excluded, and nobody objects."""
        return not (self.witnesses.alternatives or self._against)

    def on_host_speaking(self, host_ns: int) -> None:
        """The kernel vouches for the host's clock, whatever it says."""
        self._host_since_ns = self._host_since_ns or host_ns

    def on_host(self, word: HostWord, utc_ns: int, sigma_ns: float) -> None:
        """The host's clock, where the count says `utc_ns` with `sigma_ns`."""
        off_ns = self.host_off_ns = float(abs(word.utc_ns - utc_ns))
        self._is_host_tight = word.bound_ns < _SHOWS_AN_EDGE_NS
        if off_ns > word.bound_ns + 3.0 * sigma_ns + _SLACK_NS:
            self._agreed = 0
            is_far = off_ns >= NS_PER_S // 2
            self._object(OTHER_SECOND, stands=is_far)
            self._object(ELSEWHERE, stands=not is_far)
            return
        self._agreed += 1
        if self._agreed >= _AGREE_AGAIN:
            self._object(OTHER_SECOND, stands=False)
            self._object(ELSEWHERE, stands=False)
        if off_ns + word.bound_ns < _NAMES_A_SECOND_NS and sigma_ns < _NAMES_A_SECOND_NS:
            self.witnesses.speak("host clock")
            self._weigh_leap_word()
        if off_ns + word.bound_ns < _SHOWS_AN_EDGE_NS:
            self.witnesses.speak("tight host clock")

    def on_report(self, report: ReceiverReport, utc_ns: int | None) -> None:
        """The receiver's own word of its leap seconds; `utc_ns` is the count's, if there is one."""
        if report.leap_s is None and report.leap_from == "unknown":
            return
        self._report = report
        if report.leap_from == "satellites":
            self.witnesses.speak("leap word")
        if utc_ns is not None and report.leap_s is not None:
            known_s = leap_seconds_at(utc_ns)
            if known_s == report.leap_s:
                self.witnesses.speak("leap table")
            self._object(WRONG_LEAP, stands=known_s not in (None, report.leap_s))
        self._weigh_leap_word()

    def on_named(self, *, has_floor: bool) -> None:
        """A sentence named a second, by the calendar's date."""
        if has_floor:
            self.witnesses.speak("floor date")

    def on_foretold(self) -> None:
        """The receiver named this pulse before it came, and the sentence after it says the same."""
        self.witnesses.speak("next pulse")

    def on_width(self, width_ns: int | None) -> None:
        """How long the line stayed active after the edge that is taken."""
        if width_ns is None:
            return
        is_leading = 0 < width_ns < _SHORT_NS
        self._widths = self._widths + 1 if is_leading else 0
        self._object(TRAILING, stands=width_ns > NS_PER_S - _SHORT_NS)
        if self._widths >= _WIDTHS_TO_BELIEVE:
            self.witnesses.speak("pulse width")

    def on_both_edges(self) -> None:
        """The line itself is seen, and the edge that is taken begins the pulse."""
        self.witnesses.speak("pulse width")

    def on_leap_alone(self) -> None:
        """A leap second came that nobody but the receiver knows of."""
        self.witnesses.reopen("leap", "label")

    def is_backed(self, wrong_ns: int) -> bool:
        """Whether the host's clock too says that the count is wrong by `wrong_ns`."""
        off_ns = self.host_off_ns
        return off_ns is not None and abs(off_ns - abs(wrong_ns)) < _NAMES_A_SECOND_NS

    def forget(self) -> None:
        """The count begins anew: nobody has said anything of it."""
        self.witnesses.forget()
        self._against.clear()
        self._agreed, self.host_off_ns = 0, None
        self._weigh_leap_word()
        if self._report.leap_from == "satellites":
            self.witnesses.speak("leap word")

    def _weigh_leap_word(self) -> None:
        is_default = self._report.leap_from == "firmware"
        is_open = "leap" in self.witnesses.alternatives
        self._object(DEFAULT_LEAP, stands=is_default and is_open)

    def _object(self, contradiction: WitnessAgainst, *, stands: bool) -> None:
        if stands:
            self._against.setdefault(contradiction)
        else:
            self._against.pop(contradiction, None)
