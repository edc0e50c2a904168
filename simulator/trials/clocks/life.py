"""One draw of a clock world: what its node is handed, in order, and when it truly was.

True time is UTC; "awake" time is true time without the spells in which the host slept, and all
that runs on the node is a function of it. Times without a name are awake seconds since the start.
"""

import heapq
from collections.abc import Iterator
from math import ceil

import numpy as np
import numpy.typing as npt

from agent.adapters.host import Discipline
from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock import time_signs
from agent.core.clock.time_signs import Discontinuity, Edge, Pulse, RealtimeStep, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.sections import TimeSection
from simulator.scene.randomness import stream
from simulator.trials.clocks.deliveries import Converter, Deliveries, Loss
from simulator.trials.clocks.drawn import draw
from simulator.trials.clocks.hostside import host_signs
from simulator.trials.clocks.nature import ClockWorld
from simulator.trials.clocks.ntp import disciplined
from simulator.trials.clocks.sky import Sky
from simulator.trials.clocks.spells import Spell, apart, drawn_spells
from simulator.trials.clocks.told import settings_of
from simulator.trials.clocks.weather import Weather, strays_ns

Floats = npt.NDArray[np.float64]
Item = AudioBlock | AudioGap | TimeSign | Edge
_EDGE_SIGMA_SAMPLES = 0.004
_STAMPED_AFTER_S = 0.3
_LEAST_HZ = 1000
_WAKES_IN_S = (0.3, 1.5)  # until a sound device that was put to sleep delivers again


class Life:
    """One seed of a world. `settings` is all that its node was told."""

    def __init__(self, world: ClockWorld, seed: int) -> None:
        self.world, self._rng = world, stream(seed, "clock world", world.world)
        self._start_ns = world.start_utc_s * NS_PER_S
        self._uptime_ns = round(self._rng.uniform(30.0, 3e6) * NS_PER_S)
        happens, rng = world.mishaps, self._rng
        self.awake_s = float(world.duration_s)
        self.sleeps = apart(drawn_spells(happens.sleeps, self.awake_s, rng))
        self.steps = drawn_spells(happens.steps, self.awake_s, rng)
        self.stops = apart(drawn_spells(happens.stops, self.awake_s, rng))
        loads = drawn_spells(world.delivery.loads, self.awake_s, rng)
        stalls = drawn_spells(world.delivery.stalls, self.awake_s, rng) + self.stops
        stalls += [Spell(s.start_s, s.start_s + rng.uniform(*_WAKES_IN_S), 0) for s in self.sleeps]
        stalls.sort(key=lambda stall: stall.start_s)
        self._grid = np.arange(int(self.awake_s) + 4, dtype=np.float64)
        self.weather = Weather(world.weather, len(self._grid), rng)
        self._host_off_ns = strays_ns(world.host, self.weather.inside_c, rng)
        self.ntp = disciplined(world.ntp, self._host_off_ns, rng)
        if world.source == "system":
            self._host_off_ns = self.ntp.off_ns
        own = stream(seed, "clock world's receiver", world.world)
        self.restarts = apart(drawn_spells(happens.restarts, self.awake_s, own))
        self.host_follows = own.random() < world.ntp.follows_receiver
        self.sky = Sky(world, self.awake_s, loads, rng, own)
        off_s = strays_ns(world.converter, self.weather.inside_c, rng) / NS_PER_S
        audio = world.audio
        self.claimed_hz = max(round(draw(audio.claimed_hz, rng)), _LEAST_HZ)
        true_hz = self.claimed_hz if audio.true_hz is None else draw(audio.true_hz, rng)
        self._converter = Converter(max(true_hz, _LEAST_HZ), self._grid, off_s)
        self._deliveries = Deliveries(world, self._converter, loads, stalls, rng)
        self.settings = settings_of(world, rng, self._deliveries.latency_s, self.sky.lag_s)

    # ---- truth

    def true_utc_ns(self, awake_s: float) -> int:
        """UTC at an awake moment; 23:59:60 reads like the second after it, which comes twice."""
        count_ns = self._count_ns(awake_s)
        return count_ns - (NS_PER_S if self._is_leaping(count_ns - NS_PER_S) else 0)

    def host_ns(self, awake_s: float) -> int:
        """What CLOCK_MONOTONIC reads."""
        off_ns = float(np.interp(awake_s, self._grid, self._host_off_ns))
        return self._uptime_ns + round(awake_s * NS_PER_S + off_ns)

    def temperature_c_at(self, awake_s: float) -> float:
        """In the box."""
        return self.weather.temperature_c_at(awake_s)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Sound that never reached the node."""
        return self._deliveries.losses

    def converted_s(self, sample: float) -> float:
        """When a sample was converted, counted as the converter does."""
        return float(self._converter.converted_s(np.array([sample]))[0])

    def sample_at(self, awake_s: float) -> float | None:
        """The sample converted then, as the node counts; None if the node was never handed it."""
        sample = self._converter.sample_at(awake_s)
        if self._deliveries.given_s(sample) is None:
            return None
        return self._deliveries.counted(sample)

    def converter_ppm(self, awake_s: float) -> float:
        """By how much more than it claims the converter samples, over the last minute."""
        samples = self._converter.sample_at(awake_s) - self._converter.sample_at(awake_s - 60.0)
        return (samples / 60.0 / self.claimed_hz - 1.0) * 1e6

    def stamped_s(self, awake_s: float) -> float:
        """When a sound of that moment is stamped: once it is in hand, and was looked at."""
        at_s = awake_s + _STAMPED_AFTER_S
        given_s = self._deliveries.given_s(self._converter.sample_at(awake_s))
        if self.world.sound and given_s is not None:
            at_s = max(at_s, given_s + 1e-6)
        return self._when_running(at_s)

    def has_good_source(self, awake_s: float) -> bool:
        """Whether something tells UTC better than the limits' `better_than_ms`, and can show it."""
        if any(restart.holds(awake_s) for restart in self.restarts):
            return False
        better_ns = self.world.limits.better_than_ms * NS_PER_MS
        if self.world.source == "system":
            told_ns = self.ntp.max_error_at(int(awake_s))
            is_right = not self._is_astray(awake_s)
            return is_right and self.ntp.tells_root_distance and told_ns < better_ns
        if self.world.source == "nmea":
            return False
        return self.sky.is_up(awake_s) and self.sky.frame_s * NS_PER_S < better_ns

    # ---- what the node is handed

    def items(self) -> Iterator[Item]:
        """Everything in order of host time."""
        streams: list[Iterator[Item]] = [iter(self._signs())]
        if self.world.sound:
            streams.append(self._deliveries.items(self._host_ns_of))
        return heapq.merge(*streams, key=lambda item: item.host_ns)

    def _signs(self) -> list[Item]:
        seconds = self._whole_seconds()
        signs: list[Item] = list(self._temperatures())
        if self.world.source == "system":
            signs += self._host_signs()
        else:
            if self.world.ntp.is_witness:
                signs += self._host_signs()
            signs += self.sky.reports(seconds, self._whole_count_ns, self._read_ns)
            signs += [self._stepped(step) for step in self.steps]
        if self.world.source == "pps":
            signs += self._pulses(seconds)
        elif self.world.source == "pps-adc":
            signs += self._edges(seconds)
        for sleep in self.sleeps:
            host_ns = self.host_ns(sleep.start_s)
            lasted_s = sleep.end_s - sleep.start_s
            signs.append(Discontinuity(host_ns, f"host slept for {lasted_s:.1f} s"))
        return sorted(signs, key=lambda sign: sign.host_ns)

    def _pulses(self, seconds: list[float]) -> Iterator[Item]:
        """The kernel keeps the newest edge only for a process that does not run."""
        time = TimeSection()
        sigma_ns = self.world.declared.pps_sigma_ns or time.pps_sigma_ns
        newest: dict[int, float] = {}
        frame_ns = self.sky.told_frame_ns
        for edge_s in sorted(self.sky.edges_s(seconds)):
            at_s = self.sky.stamped_s(edge_s)
            stop = self._stop_at(at_s)
            if stop is not None:
                newest[stop] = at_s
            elif self._is_stepping(at_s):
                yield Refusal(self.host_ns(at_s), "pulse stamped around a step of the system clock")
            else:
                yield Pulse(self.host_ns(at_s), sigma_ns, self.sky.width_ns, frame_ns)
        yield from (Pulse(self.host_ns(at), sigma_ns, None, frame_ns) for at in newest.values())

    def _edges(self, seconds: list[float]) -> Iterator[Item]:
        for edge_s in self.sky.edges_s(seconds):
            sample = self._converter.sample_at(edge_s)
            given_s = self._deliveries.given_s(sample)
            if given_s is None:
                continue
            sample = self._deliveries.counted(sample)
            sample += float(self._rng.normal(0.0, _EDGE_SIGMA_SAMPLES))
            yield Edge(sample, _EDGE_SIGMA_SAMPLES, self.host_ns(given_s) + 1)

    def _host_signs(self) -> Iterator[Item]:
        """The real adapter, on this world's clocks and this kernel's word."""
        seconds = [at for at in range(1, int(self.awake_s)) if self._stop_at(at) is None]
        sigma_ms = self.world.declared.system_sigma_ms or TimeSection().system_sigma_ms
        return host_signs(
            seconds,
            self.host_ns,
            self._realtime_ns,
            self._kernel,
            sigma_ms * NS_PER_MS,
            is_source=self.world.source == "system",
            keeper="receiver" if self.host_follows else "servers",
        )

    def _temperatures(self) -> Iterator[Item]:
        """Once a minute, where the agent has a sign for it, what a sensor of the host shows."""
        kind = getattr(time_signs, "Temperature", None)
        if kind is None:
            return
        for second in range(30, int(self.awake_s), 60):
            shown_c = self.weather.sensor_c_at(second, self._rng)
            yield kind(self._read_ns(second), shown_c)

    # ---- how

    def _host_ns_of(self, awake_s: Floats) -> npt.NDArray[np.int64]:
        off_ns = np.interp(awake_s, self._grid, self._host_off_ns)
        return np.rint(awake_s * NS_PER_S + off_ns).astype(np.int64) + self._uptime_ns

    def _realtime_ns(self, awake_s: float) -> int:
        """The kernel says 23:59:59 twice; a daemon that follows the receiver is as wrong as it."""
        stepped_s = sum(step.by for step in self.steps if step.holds(awake_s))
        off_ns = float(np.interp(awake_s, self._grid, self.ntp.off_ns))
        count_ns = self._count_ns(awake_s)
        leapt_s = 1.0 if self._is_leaping(count_ns) else 0.0
        if self.host_follows:
            off_ns += self.sky.second_off_ns(awake_s, self._whole_count_ns(awake_s))
        return count_ns + round(off_ns + (stepped_s - leapt_s) * NS_PER_S)

    def _kernel(self, second: int) -> Discipline:
        """A step by hand makes the clock unsynchronised until the daemon set it right."""
        ahead_ns = self._count_ns(float(second))
        return Discipline(
            is_synchronised=self.ntp.is_synchronised_at(second) and not self._is_astray(second),
            max_error_ns=self.ntp.max_error_at(second),
            leap="insert" if self.world.leaps and not self._is_leaping(ahead_ns) else "none",
        )

    def _is_astray(self, awake_s: float) -> bool:
        return any(step.holds(awake_s) for step in self.steps)

    def _count_ns(self, awake_s: float) -> int:
        """UTC as if no second ever leapt."""
        slept_s = sum(s.end_s - s.start_s for s in self.sleeps if awake_s >= s.start_s)
        return self._start_ns + round(awake_s * NS_PER_S) + round(slept_s * NS_PER_S)

    def _whole_count_ns(self, awake_s: float) -> int:
        return round(self._count_ns(awake_s) / NS_PER_S) * NS_PER_S

    def _is_leaping(self, count_ns: int) -> bool:
        """Whether 23:59:60 has begun by then, and is one of UTC's."""
        at_s = self.world.midnight_at_s
        if at_s is None or not self.world.leaps:
            return False
        return count_ns >= self._start_ns + round(at_s * NS_PER_S)

    def _read_ns(self, awake_s: float) -> int:
        return self.host_ns(self._when_running(awake_s))

    def _stepped(self, step: Spell) -> Item:
        at_ns = self._read_ns(step.start_s)
        return RealtimeStep(at_ns, f"system clock was stepped by {abs(step.by):.3f} s")

    def _is_stepping(self, at_s: float) -> bool:
        leap_s = self.world.midnight_at_s if self.world.leaps else None
        moments = [step.start_s for step in self.steps] + ([] if leap_s is None else [leap_s])
        return any(moment - 1.0 <= at_s < moment + 1.0 for moment in moments)

    def _stop_at(self, at_s: float) -> int | None:
        return next((n for n, stop in enumerate(self.stops) if stop.holds(at_s)), None)

    def _when_running(self, at_s: float) -> float:
        stop = self._stop_at(at_s)
        return at_s if stop is None else self.stops[stop].end_s + 1e-5

    def _whole_seconds(self) -> list[float]:
        """Awake moments at which a second of UTC began, the first one after half a second."""
        moments: list[float] = []
        slept_s, awake_from_s = 0.0, 0.5
        for sleep in [*self.sleeps, Spell(self.awake_s - 1.0, self.awake_s, 0.0)]:
            seconds = range(ceil(awake_from_s + slept_s), ceil(sleep.start_s + slept_s))
            moments += [second - slept_s for second in seconds]
            slept_s, awake_from_s = slept_s + sleep.end_s - sleep.start_s, sleep.start_s
        return [moment for moment in moments if moment < self.awake_s - 1.0]
