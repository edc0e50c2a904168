"""Witnesses heard: each word about the second is held against the count that stands.

Those that agree exclude what their kind can (`witnesses`); those that do not are named, and while
they stand nothing is locked: nobody here can tell which of both is wrong.
"""

from dataclasses import replace
from typing import Literal

from agent.core.clock.leap_seconds import leap_seconds_at
from agent.core.clock.time_signs import HostWord, OwnWord, ReceiverReport, TimeMark
from agent.core.clock.witnesses import Witnesses
from agent.core.units import NS_PER_MS, NS_PER_S

_NAMES_A_SECOND_NS = 400 * NS_PER_MS
_SHOWS_AN_EDGE_NS = 45 * NS_PER_MS  # pulses are 100 ms long or more, or a few ms at most
_AGREE_AGAIN = 3
_AWAITED_NS = 30 * NS_PER_S
_SLACK_NS = 5 * NS_PER_MS
_WIDTHS_TO_BELIEVE = 3
_SHORT_NS = 450 * NS_PER_MS
_LABELS_AFTER_WORD = 8

WitnessAgainst = Literal[
    "this node's own clock names another second",
    "host's clock names another second",
    "host's clock has the second elsewhere",
    "leap seconds are the firmware's default",
    "leap seconds are not those of the list",
    "pulses are seen at their trailing edge",
]
OWN_OTHER: WitnessAgainst = "this node's own clock names another second"
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
        self._agreed = self._widths = self._labels = 0
        self.host_off_ns: float | None = None
        self._listed_s: int | None = None
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

    def on_host_speaking(self, word: HostWord) -> None:
        """The kernel vouches for the host's clock, whatever it says."""
        if word.kept.by == "servers":
            self._host_since_ns = self._host_since_ns or word.host_ns

    def on_host(self, word: HostWord, utc_ns: int, sigma_ns: float) -> None:
        """The host's clock, where the count says `utc_ns` with `sigma_ns`."""
        off_ns = float(abs(word.utc_ns - utc_ns))
        is_other = word.kept.by == "servers"  # else it may share the receiver's own error
        self.host_off_ns = off_ns if is_other else None
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
        if is_other and self._is_near(off_ns, word.bound_ns, sigma_ns):
            self._object(OWN_OTHER, stands=False)
            self.witnesses.speak("host clock")
            self._weigh_leap_word()
        if is_other and off_ns + word.bound_ns < _SHOWS_AN_EDGE_NS:
            self.witnesses.speak("tight host clock")

    def on_own(self, word: OwnWord, utc_ns: int, sigma_ns: float) -> None:
        """What an earlier run knew for good, where the count says `utc_ns` with `sigma_ns`."""
        off_ns = float(abs(word.utc_ns - utc_ns))
        is_off = off_ns > word.bound_ns + 3.0 * sigma_ns + _SLACK_NS
        self._object(OWN_OTHER, stands=is_off and "host clock" not in self._speakers)
        if self._is_near(off_ns, word.bound_ns, sigma_ns):
            self.witnesses.speak("own clock")
            self._weigh_leap_word()
        if off_ns + word.bound_ns < _SHOWS_AN_EDGE_NS:
            self.witnesses.speak("tight own clock")

    @property
    def _speakers(self) -> set[str]:
        return set(self.witnesses.excluded_by.values())

    @staticmethod
    def _is_near(off_ns: float, bound_ns: float, sigma_ns: float) -> bool:
        """Whether a clock that is `off_ns` away leaves no other second."""
        return off_ns + bound_ns < _NAMES_A_SECOND_NS and sigma_ns < _NAMES_A_SECOND_NS

    def on_keeper(self, mark: TimeMark) -> None:
        """Who keeps the host's clock, where that is the source."""
        if mark.kept.by != "servers":
            self.witnesses.reopen("label", "edge", "leap", "weeks")
            return
        self.witnesses.speak("time servers")
        if mark.kept.within_ns < _SHOWS_AN_EDGE_NS:
            self.witnesses.speak("tight time servers")

    def on_report(self, report: ReceiverReport, utc_ns: int | None) -> None:
        """The receiver's own word of its leap seconds; `utc_ns` is the count's, if there is one."""
        if report.leap_s is None and report.leap_from == "unknown":
            return
        last = self._report
        if report.leap_from != last.leap_from or report.leap_s not in (None, last.leap_s):
            self._labels = 0
        elif report.leap_s is None:
            report = replace(report, leap_s=last.leap_s)
        self._report = report
        self._listed_s = None if utc_ns is None else leap_seconds_at(utc_ns)
        if report.leap_s is not None and utc_ns is not None:
            self._object(WRONG_LEAP, stands=self._listed_s not in (None, report.leap_s))
        self._count_with_leap(utc_ns)
        self._weigh_leap_word()

    def on_label(self, utc_ns: int, *, agrees: bool) -> None:
        """A sentence named a second that has a name already; the count says `utc_ns`."""
        self._labels = self._labels + 1 if agrees else 0
        self._count_with_leap(utc_ns)
        self._weigh_leap_word()

    def _count_with_leap(self, utc_ns: int | None) -> None:
        """The receiver's leap seconds are those of the count only once its labels, told after that
        word, agree with it: with the almanac the labels step, and the count may be from before."""
        report = self._report
        if utc_ns is None or self._labels < _LABELS_AFTER_WORD:
            return
        listed_s = leap_seconds_at(utc_ns)
        if listed_s is None:
            return  # nobody knows of a leap second since: the receiver may have one of its own
        if report.leap_from == "satellites":
            self.witnesses.speak("leap word")
        if report.leap_s == listed_s:
            self.witnesses.speak("leap table")

    def on_named(self) -> None:
        """A sentence named a second of the years after the floor."""
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
        self._labels = 0

    def on_leap_possible(self) -> None:
        """A moment went by at which a leap second can have been: who counts it has to show."""
        self.witnesses.reopen("leap")
        self._labels = 0

    def is_backed(self, wrong_ns: int) -> bool:
        """Whether the host's clock too says that the count is wrong by `wrong_ns`."""
        off_ns = self.host_off_ns
        return off_ns is not None and abs(off_ns - abs(wrong_ns)) < _NAMES_A_SECOND_NS

    def forget(self) -> None:
        """The count begins anew: nobody has said anything of it."""
        self.witnesses.forget()
        self._against.clear()
        self._agreed, self._labels, self.host_off_ns = 0, 0, None
        self._weigh_leap_word()

    def _weigh_leap_word(self) -> None:
        """A default is spoken against, unless it is what the list says."""
        is_listed = self._report.leap_s is not None and self._report.leap_s == self._listed_s
        is_default = self._report.leap_from == "firmware" and not is_listed
        is_open = "leap" in self.witnesses.alternatives
        self._object(DEFAULT_LEAP, stands=is_default and is_open)

    def _object(self, contradiction: WitnessAgainst, *, stands: bool) -> None:
        if stands:
            self._against.setdefault(contradiction)
        else:
            self._against.pop(contradiction, None)
