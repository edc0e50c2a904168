"""The clocks of one virtual node, without sound: what it is handed, and when it truly was.

Everything random comes from the seed. True time is UTC; "awake time" is true time without the
spells in which the host slept, and all that runs on the node is a function of it.
"""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.time_signs import (
    Discontinuity,
    Edge,
    Fix,
    Pulse,
    ReceiverReport,
    TimeMark,
    TimeSign,
)
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from simulator.scene.oscillators import Oscillator
from simulator.scene.randomness import stream
from simulator.trials.clocks.scenario import CRYSTALS, ClockScenario, OscillatorTable, Spell

RATE_HZ = 48_000
BLOCK_SAMPLES = 1024
UPTIME_NS = 3_000 * NS_PER_S
_SILENCE = np.zeros(BLOCK_SAMPLES, np.int16)
_EDGE_SIGMA_SAMPLES = 0.004
_SPIKE_ODDS, _SPIKE_IN_MEANS = 0.002, 20.0

Floats = npt.NDArray[np.float64]
Item = AudioBlock | AudioGap | TimeSign | Edge


class World:
    """One seed of a scenario. Times without a name are seconds since the start, awake."""

    def __init__(self, scenario: ClockScenario, seed: int) -> None:
        self._scenario = scenario
        self._rng = stream(seed, "clock room", scenario.name)
        self._start_ns = scenario.start_utc_s * NS_PER_S
        grid = np.arange(scenario.duration_s + 2, dtype=np.float64)
        self._grid = grid
        self._adc_off_ns = self._strays(scenario.adc, grid)
        self._host_off_ns = self._strays(scenario.host, grid) + self._slewed(grid)
        self._miscounts = [(spell.at_s, round(spell.by)) for spell in scenario.mishaps.overruns]

    @property
    def awake_s(self) -> float:
        """How long the host is awake in all."""
        return self._scenario.duration_s - sum(s.for_s for s in self._scenario.mishaps.sleeps)

    # ---- truth

    def true_utc_ns(self, awake_ns: int) -> int:
        """UTC (as POSIX counts it) at an awake instant."""
        at_ns = self._true_count_ns(awake_ns)
        leap = self._scenario.leap_at_s
        if leap is not None and at_ns >= self._start_ns + (leap + 1) * NS_PER_S:
            return at_ns - NS_PER_S
        return at_ns

    def host_ns(self, awake_s: float) -> int:
        """What the host's clock reads."""
        return UPTIME_NS + round(
            awake_s * NS_PER_S + float(np.interp(awake_s, self._grid, self._host_off_ns))
        )

    def sample_at(self, awake_s: float) -> float:
        """The sample being converted, as the node counts samples."""
        own_ns = awake_s * NS_PER_S + float(np.interp(awake_s, self._grid, self._adc_off_ns))
        return own_ns * RATE_HZ / NS_PER_S + self._miscounted(awake_s)

    # ---- what the node is handed

    def items(self) -> Iterator[Item]:
        """Everything in order of host time."""
        streams: list[Iterator[Item]] = [iter(self._signs())]
        if self._scenario.sound:
            streams.append(self._sound())
        return heapq.merge(*streams, key=lambda item: item.host_ns)

    def _sound(self) -> Iterator[Item]:
        delivery, end_s = self._scenario.delivery, self.awake_s
        count = int(end_s * RATE_HZ / BLOCK_SAMPLES)
        ends = np.arange(1, count + 1) * BLOCK_SAMPLES
        own_s = ends / RATE_HZ
        ready_s = np.interp(own_s, self._grid + self._adc_off_ns / NS_PER_S, self._grid)
        late_ns = self._late_ns(ready_s) + delivery.floor_us * NS_PER_US
        host_ns = ready_s * NS_PER_S + np.interp(ready_s, self._grid, self._host_off_ns) + late_ns
        host = np.maximum.accumulate(np.rint(host_ns)).astype(np.int64) + UPTIME_NS
        losses = sorted(
            (spell.at_s, spell.at_s + max(spell.for_s, 0.05), round(spell.by))
            for spell in self._scenario.mishaps.overruns
        )
        lost_from: int | None = None
        shift = 0
        for index in range(count):
            first = int(ends[index]) - BLOCK_SAMPLES
            if losses and ready_s[index] >= losses[0][0]:
                lost_from = first if lost_from is None else lost_from
                if ready_s[index] < losses[0][1]:
                    continue
                _, _, miscount = losses.pop(0)
                lost = first - lost_from + miscount
                yield AudioGap(lost_from + shift, max(1, lost), int(host[index]), "overrun")
                shift, lost_from = shift + miscount, None
            yield AudioBlock(first + shift, _SILENCE, int(host[index]))

    def _late_ns(self, ready_s: Floats) -> Floats:
        delivery, rng = self._scenario.delivery, self._rng
        means = np.full(len(ready_s), delivery.mean_us * NS_PER_US)
        for spell in delivery.load:
            means[_inside(ready_s, spell)] = spell.by * NS_PER_US
        means[rng.random(len(ready_s)) < _SPIKE_ODDS] *= _SPIKE_IN_MEANS
        drawn = (
            rng.exponential(1.0, len(ready_s))
            if delivery.law == "exponential"
            else rng.uniform(0.0, 2.0, len(ready_s))
        )
        return means * drawn

    def _signs(self) -> list[Item]:
        signs: list[Item] = []
        if self._scenario.source == "system":
            signs += self._system_marks()
        else:
            signs += self._reports()
            if self._scenario.source != "nmea":
                signs += self._pulses()
        for spell in self._scenario.mishaps.sleeps:
            host_ns = self.host_ns(spell.at_s)
            signs.append(Discontinuity(host_ns, f"host slept for {spell.for_s:.0f} s"))
            signs.append(AudioGap(self._block_start(spell.at_s), 1, host_ns, "host slept"))
        return sorted(signs, key=lambda sign: sign.host_ns)

    def _system_marks(self) -> Iterator[Item]:
        sigma_ns = round(self._scenario.pulse.shared_us * NS_PER_US)
        bound_ns = 2.9 * sigma_ns  # the kernel's maximum error is a bound, and sigma a third of it
        wrong_ns = round(np.clip(self._rng.normal(0.0, sigma_ns), -bound_ns, bound_ns))
        for second in range(self._scenario.duration_s):
            at_ns = second * NS_PER_S
            utc_ns = self.true_utc_ns(at_ns) + wrong_ns
            yield TimeMark(self.host_ns(second), utc_ns, sigma_ns, "system")

    def _pulses(self) -> Iterator[Item]:
        pulse, rng = self._scenario.pulse, self._rng
        shared_ns, gone = self._shared_ns(), self._random_outages()
        for _, at_s in self._seconds():
            if any(_is_in(at_s, spell) for spell in (*pulse.lost, *gone)):
                continue
            rings = next((int(s.by) for s in pulse.stuck if _is_in(at_s, s)), 0)
            yield from (self._pulse(at_s + ring / rings) for ring in range(1, rings))
            off_ns = shared_ns + rng.normal(0.0, pulse.jitter_us * NS_PER_US)
            off_ns += sum(s.by * NS_PER_US for s in pulse.stepped if _is_in(at_s, s))
            off_ns += sum((at_s - s.at_s) * s.by for s in pulse.dragged if _is_in(at_s, s))
            if rng.random() >= pulse.lost_share:
                yield self._pulse(at_s + off_ns / NS_PER_S)
            if rng.random() < pulse.doubles_share:
                yield self._pulse(at_s + rng.uniform(0.0006, 0.2))
            if rng.random() < pulse.false_per_minute / 60.0:
                yield self._pulse(at_s + rng.uniform(0.0, 1.0))

    def _pulse(self, at_s: float) -> Item:
        at_s = min(max(at_s, 0.0), float(self._scenario.duration_s))
        if self._scenario.source == "pps":
            return Pulse(self.host_ns(at_s), round(self._scenario.pulse.shared_us * NS_PER_US))
        sample = self.sample_at(at_s) + self._rng.normal(0.0, _EDGE_SIGMA_SAMPLES)
        return Edge(sample, _EDGE_SIGMA_SAMPLES, self.host_ns(at_s + 0.05))

    def _reports(self) -> Iterator[Item]:
        report, rng, scenario = self._scenario.report, self._rng, self._scenario
        for second, at_s in self._seconds():
            lag_s = (report.lag_ms + rng.normal(0.0, report.jitter_ms)) / 1000.0
            host_ns = self.host_ns(at_s + max(lag_s, 0.02))
            if any(_is_in(at_s, spell) for spell in report.silent):
                continue
            valid = not any(_is_in(at_s, spell) for spell in report.void)
            is_leap = scenario.leap_at_s is not None and second == scenario.leap_at_s
            utc_ns = self.true_utc_ns(round(at_s * NS_PER_S)) // NS_PER_MS * NS_PER_MS
            utc_ns = (utc_ns + NS_PER_S // 2) // NS_PER_S * NS_PER_S
            utc_ns += sum(round(s.by) * NS_PER_S for s in report.off_s if _is_in(at_s, s))
            yield Fix(host_ns, utc_ns, valid, is_leap and report.tells_leap, 9 if valid else 0)
            if second % 10 == 0:
                coming = scenario.leap_at_s is not None and second < scenario.leap_at_s
                dragged = any(_is_in(at_s, spell) for spell in scenario.pulse.dragged)
                yield ReceiverReport(
                    host_ns,
                    spoof=("suspect" if dragged else "none")
                    if report.tells_spoofing
                    else "unknown",
                    leap="insert" if coming and report.tells_leap else "none",
                )

    def _seconds(self) -> Iterator[tuple[int, float]]:
        """True whole seconds while the host was awake, with their awake instant."""
        slept_s = 0.0
        sleeps = sorted(self._scenario.mishaps.sleeps, key=lambda spell: spell.at_s)
        for second in range(self._scenario.duration_s - 2):
            at_s = second - slept_s
            while sleeps and at_s >= sleeps[0].at_s:
                if at_s < sleeps[0].at_s + sleeps[0].for_s:
                    break
                slept_s += sleeps.pop(0).for_s
                at_s = second - slept_s
            if sleeps and at_s >= sleeps[0].at_s:
                continue
            if at_s > 0.5:
                yield second, at_s

    # ---- how

    def _strays(self, table: OscillatorTable, grid: Floats) -> Floats:
        ppm = float(self._rng.normal(0.0, table.ppm)) if table.ppm else 0.0
        crystal = Oscillator(
            0,
            ppm,
            CRYSTALS[table.crystal],
            self._rng,
            lambda elapsed_s: 25.0 + table.warming_c_per_hour * elapsed_s / 3600.0,
        )
        counted = [crystal.local_ns_at(second * NS_PER_S) for second in range(len(grid))]
        return np.array(counted) - grid * NS_PER_S

    def _slewed(self, grid: Floats) -> Floats:
        gained = np.zeros(len(grid))
        for spell in self._scenario.mishaps.slews:
            gained += np.clip(grid - spell.at_s, 0.0, spell.for_s) * spell.by * 1000.0
        return gained

    def _true_count_ns(self, awake_ns: int) -> int:
        slept_s = sum(
            spell.for_s
            for spell in self._scenario.mishaps.sleeps
            if awake_ns >= spell.at_s * NS_PER_S
        )
        return self._start_ns + awake_ns + round(slept_s * NS_PER_S)

    def _shared_ns(self) -> int:
        bound_ns = 3**0.5 * self._scenario.pulse.shared_us * NS_PER_US
        return round(self._rng.uniform(-bound_ns, bound_ns))

    def _random_outages(self) -> Sequence[Spell]:
        per_day = self._scenario.pulse.lost_at_random_per_day
        count = int(self._rng.poisson(per_day * self._scenario.duration_s / 86_400.0))
        if not count:
            return []
        starts = self._rng.uniform(300.0, self._scenario.duration_s, count)
        lasts = np.exp(self._rng.uniform(np.log(5.0), np.log(7200.0), count))
        return [Spell(at_s=float(a), for_s=float(b)) for a, b in zip(starts, lasts, strict=True)]

    def _miscounted(self, awake_s: float) -> int:
        return sum(by for at_s, by in self._miscounts if awake_s >= at_s)

    def _block_start(self, awake_s: float) -> int:
        return int(self.sample_at(awake_s)) // BLOCK_SAMPLES * BLOCK_SAMPLES


def _inside(times_s: Floats, spell: Spell) -> npt.NDArray[np.bool_]:
    return (times_s >= spell.at_s) & (times_s < spell.at_s + spell.for_s)


def _is_in(at_s: float, spell: Spell) -> bool:
    return spell.at_s <= at_s < spell.at_s + spell.for_s
