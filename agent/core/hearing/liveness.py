"""Does the microphone live? Judged from the sound itself, for next to nothing.

Every PERIOD_S half a second is looked at; between looks a block costs one comparison. The looks of
the last MEMORY of them are the evidence, so that a fault is told within a minute and taken back
when it is over. Without sound there is nothing to judge, and the answer is `unknown`.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from agent.core.audio import AudioBlock, AudioFormat, Samples
from agent.core.hearing.level_history import DAYS_TO_KNOW, LevelHistory
from agent.core.hearing.look import Look, Looker
from agent.core.hearing.symptoms import SYMPTOMS
from agent.core.records.findings import Finding, found, healthy, unknown
from agent.core.units import NS_PER_S

PERIOD_S = 3
MEMORY = 15
MINUTE = 20
HOUR = 1200
LEAST_HOUR = 300
STALE_NS = 15 * NS_PER_S
_CALMED = 0.6
_CLIPPED_OF_HOUR = 0.05
_MICROPHONE = [name for name in SYMPTOMS if name not in ("clipping", "wind")]
_STREET_BANDS = slice(3, 7)
_QUIET_QUANTILE = 0.1
_NS_PER_H = 3600 * NS_PER_S

Percentiles = tuple[float, float, float]


class Liveness:
    """Feed it all blocks; ask it for findings. `history` outlives it."""

    def __init__(self, fmt: AudioFormat, history: LevelHistory | None = None) -> None:
        self._format = fmt
        self._looker = Looker(fmt.rate_hz)
        self.history = history or LevelHistory()
        self._period = PERIOD_S * fmt.rate_hz
        self._begin, self._filled = 0, 0
        self._held: Samples = np.zeros(self._looker.count, np.int16)
        self._looks: deque[Look] = deque(maxlen=MINUTE)
        self._clipped: deque[bool] = deque(maxlen=HOUR)
        self._standing: set[str] = set()
        self._hour: int | None = None
        self._levels: list[float] = []
        self._is_far_below = False
        self._looked_ns: int | None = None

    def is_due(self, block: AudioBlock) -> bool:
        """Whether some of `block` is to be looked at: else it need not be handed over."""
        return block.first_sample + len(block.samples) > self._begin

    def on_block(self, block: AudioBlock, utc_ns: int | None = None) -> None:
        """Take a block; `utc_ns` is its time, if known."""
        if self.is_due(block):
            self._collect(block, utc_ns)

    def percentiles_dbfs(self) -> Percentiles | None:
        """Levels that 90, 50 and 10 % of the last minute's looks exceed; None without a minute."""
        levels = sorted(one.level_db for one in self._looks if not one.is_constant)
        if len(levels) < MEMORY:
            return None
        low, middle, high = (levels[int(share * len(levels))] for share in (0.1, 0.5, 0.9))
        return round(low, 1), round(middle, 1), round(high, 1)

    def findings(self, host_ns: int) -> list[Finding]:
        """What is known at `host_ns` of microphone, level and wind."""
        if self._looked_ns is None or host_ns - self._looked_ns > STALE_NS:
            return [unknown(check, "no sound") for check in ("microphone", "level", "wind")]
        if len(self._looks) < MEMORY and not self._standing:
            left_s = PERIOD_S * (MEMORY - len(self._looks))
            why = f"known in {left_s} s"
            return [unknown(check, why) for check in ("microphone", "level", "wind")]
        return [*self._about_microphone(), *self._about_level(), self._about_wind()]

    def _collect(self, block: AudioBlock, utc_ns: int | None) -> None:
        at, samples = block.first_sample, block.samples
        if samples.dtype != self._held.dtype:
            self._held, self._filled = np.zeros(self._looker.count, samples.dtype), 0
        while at + len(samples) > self._begin:
            if at > self._begin + self._filled:  # a gap: look at the next whole stretch
                self._begin += self._period * (1 + (at - self._begin) // self._period)
                self._filled = 0
                continue
            new = samples[self._begin + self._filled - at :][: self._looker.count - self._filled]
            self._held[self._filled : self._filled + len(new)] = new
            self._filled += len(new)
            if self._filled < self._looker.count:
                break
            self._on_look(self._looker.look(self._held), block.host_ns, utc_ns)
            self._begin, self._filled = self._begin + self._period, 0

    def _on_look(self, one: Look, host_ns: int, utc_ns: int | None) -> None:
        self._looked_ns = host_ns
        self._looks.append(one)
        self._clipped.append(one.is_clipped)
        latest = list(self._looks)[-MEMORY:]
        if len(latest) == MEMORY:
            for name, (extent, too_much) in SYMPTOMS.items():
                much = extent(latest)
                if much >= too_much:
                    self._standing.add(name)
                elif much < _CALMED * too_much:
                    self._standing.discard(name)
        self._remember(latest, utc_ns)

    def _remember(self, latest: list[Look], utc_ns: int | None) -> None:
        """Hours go to the history while nothing else is wrong with the sound."""
        if utc_ns is None:
            self._is_far_below = False
            return
        hour = utc_ns // _NS_PER_H
        if hour != self._hour:
            if self._hour is not None and len(self._levels) >= LEAST_HOUR:
                quiet = sorted(self._levels)[int(_QUIET_QUANTILE * len(self._levels))]
                self.history.on_hour(self._hour, quiet)
            self._hour, self._levels = hour, []
        if not (self._standing - {"clipping", "wind"}) and not latest[-1].is_constant:
            self._levels.append(_street_db(latest[-1]))
        self._is_far_below = len(latest) == MEMORY and all(
            not one.is_constant and self.history.is_far_below(hour, _street_db(one))
            for one in latest
        )

    def _about_microphone(self) -> Iterator[Finding]:
        told = [found(name, self._shown()) for name in _MICROPHONE if name in self._standing]
        clipped = sum(self._clipped) / len(self._clipped)
        if "clipping" in self._standing or (
            len(self._clipped) >= LEAST_HOUR and clipped > _CLIPPED_OF_HOUR
        ):
            told.append(found("clipping", f"{100 * clipped:.0f} % of the last hour"))
        yield from told or [healthy("microphone", self._shown())]

    def _about_level(self) -> Iterator[Finding]:
        history = self.history
        if self._is_far_below and not self._standing.intersection(_MICROPHONE):
            yield found("level-fell", f"{self._shown()}: 15 dB below this hour", "critical")
        elif history.has_fallen or history.has_risen:
            name = "level-fell" if history.has_fallen else "level-rose"
            yield found(name, f"{history.shift_db:+.1f} dB against {history.days} days")
        elif self._format.full_scale_db_spl is None:
            yield unknown("level", f"not calibrated; {self._past()}")
        else:
            yield healthy("level", f"{self._shown()}; {self._past()}")

    def _about_wind(self) -> Finding:
        if "wind" in self._standing:
            return found("wind", "covers the street")
        return healthy("wind")

    def _past(self) -> str:
        shift_db, days = self.history.shift_db, self.history.days
        if shift_db is None:
            return f"history of {days} of {DAYS_TO_KNOW} days"
        return f"{shift_db:+.1f} dB against {days} days"

    def _shown(self) -> str:
        last = self._looks[-1]
        if last.is_constant:
            return f"value {last.offset:+.4f} of full scale"
        told = self.percentiles_dbfs()
        level_db = last.level_db if told is None else told[1]
        full_scale_db_spl = self._format.full_scale_db_spl
        if full_scale_db_spl is None:
            return f"{level_db:.0f} dBFS"
        return f"{level_db + full_scale_db_spl:.0f} dB SPL"


def _street_db(one: Look) -> float:
    """The level of the street between 250 Hz and 4 kHz: below it is wind, above it the capsule."""
    loudest = max(one.bands_db[_STREET_BANDS])
    return loudest + 10.0 * float(
        np.log10(sum(10.0 ** ((band - loudest) / 10.0) for band in one.bands_db[_STREET_BANDS]))
    )
