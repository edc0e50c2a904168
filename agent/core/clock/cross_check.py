"""Words about the second, held against the count of seconds that stands.

Knows the count (`discipline`), its calendar and its names; what the words prove is `testimony`'s.
"""

from agent.core.clock.coarse import Coarse
from agent.core.clock.counting import Calendar
from agent.core.clock.discipline import Discipline
from agent.core.clock.second_labels import Namer
from agent.core.clock.testimony import Testimony
from agent.core.clock.time_signs import Fix, HostWord, OwnWord, ReceiverReport
from agent.core.units import NS_PER_S


class CrossCheck:
    """Feed it what is said, in host order; `testimony` knows the result."""

    def __init__(
        self, discipline: Discipline, namer: Namer, calendar: Calendar, testimony: Testimony
    ) -> None:
        self._discipline, self._namer = discipline, namer
        self._calendar, self._testimony = calendar, testimony
        self.coarse = Coarse()

    def on_clock(self, word: HostWord | OwnWord) -> None:
        """The host's clock, or this node's own of an earlier run."""
        told = self.told(word.host_ns)
        if isinstance(word, OwnWord):
            if told:
                self._testimony.on_own(word, *told)
            return
        self._namer.on_host_leap(word.host_ns, word.leap)
        self._testimony.on_host_speaking(word)
        self.coarse.note(word)
        if told and not (self._calendar.check(word.utc_ns) or self._namer.leaps_near(told[0])):
            self._testimony.on_host(word, *told)

    def on_report(self, report: ReceiverReport) -> None:
        """The receiver's own word of its leap seconds."""
        told = self.told(report.host_ns)
        self._testimony.on_report(report, told[0] if told else None)

    def on_fix(self, fix: Fix) -> None:
        """What a sentence that was held against its pulse says beside it."""
        namer = self._namer
        if fix.utc_ns is None or not fix.is_valid:
            return
        is_other = namer.fault == "report contradicts the count"
        if is_other or namer.confirmed_ns == fix.host_ns:
            self.on_label(fix.host_ns, agrees=not is_other)
        if namer.fault:
            return
        if namer.was_foretold and namer.confirmed_ns == fix.host_ns:
            self._testimony.on_foretold()
        self.on_lone_fix(self._calendar.of_receiver(fix.utc_ns))

    def on_lone_fix(self, utc_ns: int) -> None:
        """A sentence named the second `utc_ns`, its weeks set right."""
        if self._calendar.is_soon_after_floor(utc_ns):
            self._testimony.on_named()
        if self._namer.has_leapt_alone:
            self._namer.has_leapt_alone = False
            self._testimony.on_leap_alone()

    def on_label(self, host_ns: int, *, agrees: bool) -> None:
        """A sentence named a second that the count knows."""
        if told := self.told(host_ns):
            self._testimony.on_label(told[0], agrees=agrees)

    def on_time(self, host_ns: int) -> None:
        """Notices moments at which a second may have leapt."""
        if (told := self.told(host_ns)) and self._namer.may_have_leapt(told[0]):
            self._testimony.on_leap_possible()

    def on_line(self, host_ns: int, before: tuple[int, float] | None) -> None:
        """A mark was offered to a line that told `before`. One that begins anew then, or goes on at
        another second, is another count: what was said of the former proves nothing of it."""
        if before is None:
            return
        told = self.told(host_ns)
        if told is None or abs(told[0] - before[0]) > NS_PER_S // 2:
            self._testimony.forget()

    def told(self, host_ns: int) -> tuple[int, float] | None:
        """UTC and its 1-sigma as they are told, once they are."""
        if not self._discipline.is_known:
            return None
        count_ns, sigma_ns = self._discipline.at(host_ns)
        return self._calendar.utc_of(count_ns), sigma_ns
