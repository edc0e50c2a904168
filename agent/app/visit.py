"""What a technician at the pole asks of the running node: a clap, a calibration, a look at levels.

Asked through a file in the runtime directory, answered in the state that the daemon shows there.
One wish at a time, the latest; what comes of it is a record too.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

from agent.core.audio import AudioBlock, AudioFormat
from agent.core.clock import Stamp
from agent.core.hearing import Onset
from agent.core.hearing.levels import LevelMeter, Tone, ToneMeter
from agent.core.records.kinds import Data
from agent.core.records.visit import Answer, Heard, HeardKind, Level, Wish
from agent.core.records.visit_records import Calibration, Clap
from agent.core.units import NS_PER_S

WISH_NS = 30 * NS_PER_S
MOST_HEARD = 8

Receipted = Callable[[int], bool]
Numbered = Callable[[int], None]
WhenKept = Callable[[Numbered], None]
"""Calls what it is given, from any thread, once all that was said so far is durable, with the
number of the last record then."""


class _Number:
    """That of a record, once it has one."""

    seq: int | None = None

    def put(self, seq: int) -> None:
        self.seq = seq


class Visit:
    """Feed it all that the node hears; what it yields is to be recorded, then noted."""

    def __init__(self, fmt: AudioFormat, when_kept: WhenKept = lambda act: None) -> None:
        self._format, self._when_kept = fmt, when_kept
        self._meter = LevelMeter(fmt.rate_hz)
        self._heard: deque[tuple[Heard, _Number]] = deque(maxlen=MOST_HEARD)
        self._wish: Wish | None = None
        self._until_ns = 0
        self._tone: ToneMeter | None = None
        self.answer: Answer | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something was asked for that is not answered yet."""
        return self._wish is not None

    def take(self, wish: Wish, host_ns: int) -> None:
        """Begin what is asked for; a wish before it is forgotten."""
        self._wish, self._until_ns = wish, host_ns + WISH_NS
        self._tone = ToneMeter(self._format.rate_hz) if wish.verb == "calibrate" else None
        self._tell("waiting", "")
        if wish.verb == "self-test":  # is the health's, which shows what came of it
            self._tell("done", "")
            self._wish = None

    def on_gap(self) -> None:
        """Sound is missing: a tone that was being measured is measured anew."""
        self._meter.on_gap()
        if self._tone:
            self._tone = ToneMeter(self._format.rate_hz)

    def on_block(self, block: AudioBlock) -> Iterator[Data]:
        """Take a block; a calibration, once it is measured."""
        self._meter.on_block(block)
        if self._tone and (tone := self._tone.on_block(block)):
            self._tone = None
            if tone.fault:
                self._tell("failed", tone.fault)
            else:
                yield self._calibrated(tone)

    def on_onset(self, onset: Onset, stamp: Stamp) -> Iterator[Data]:
        """Take an onset, published or not; a clap, if one was asked for."""
        if self._wish and self._wish.verb == "clap":
            self._tell("done", "")
            self._wish = None
            features, sigma_ns = onset.features, stamp.sigma_ns
            yield Clap(
                toa_utc_ns=None if stamp.utc_ns is None else str(stamp.utc_ns),
                sigma_total_ns=sigma_ns,
                peak_dbfs=features.peak_dbfs,
                peak_db_spl=features.peak_db_spl,
                snr_db=features.snr_db,
                score=onset.verdict.score,
                reason=onset.verdict.reason,
            )

    def note(self, onset: Onset, stamp: Stamp, host_ns: int, kind: HeardKind) -> None:
        """Remember an onset for those who look; where it has a kind, its record was just said."""
        number = _Number()
        if kind:
            self._when_kept(number.put)
        one = Heard(
            kind=kind,
            host_ns=host_ns,
            utc_ns=stamp.utc_ns,
            sigma_ns=stamp.sigma_ns,
            peak_dbfs=onset.features.peak_dbfs,
            snr_db=onset.features.snr_db,
            score=onset.verdict.score,
            reason=onset.verdict.reason,
        )
        self._heard.append((one, number))

    def pass_time(self, host_ns: int) -> None:
        """A wish that nothing came of ends."""
        if self._wish and host_ns >= self._until_ns:
            told = "no onset was heard" if self._wish.verb == "clap" else "too little sound came"
            self._tell("failed", f"{told} within {WISH_NS // NS_PER_S} s")
            self._wish, self._tone = None, None

    def level(self) -> Level | None:
        """The last second's level; the next reading begins afresh."""
        return self._meter.read()

    def heard(self, is_receipted: Receipted) -> tuple[Heard, ...]:
        """The last onsets, oldest first, with what is known of their receipts now."""
        return tuple(one.seen(number.seq, is_receipted) for one, number in self._heard)

    def _calibrated(self, tone: Tone) -> Calibration:
        assert self._wish  # noqa: S101 - a tone is measured only where it was wished
        level = self._wish.level_db_spl
        told = Calibration(
            level_db_spl=level,
            level_dbfs=tone.level_dbfs,
            full_scale_db_spl=round(level - tone.level_dbfs, 1),
            before_db_spl=self._format.full_scale_db_spl,
            tone_hz=tone.tone_hz,
            purity_db=tone.purity_db,
            spread_db=tone.spread_db,
            seconds=tone.seconds,
        )
        self._tell("done", "", told.full_scale_db_spl)
        self._wish = None
        return told

    def _tell(
        self, outcome: Literal["waiting", "done", "failed"], reason: str, value: float | None = None
    ) -> None:
        assert self._wish  # noqa: S101 - nothing is told unasked
        self.answer = Answer(id=self._wish.id, outcome=outcome, reason=reason, value=value)
