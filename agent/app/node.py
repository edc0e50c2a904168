"""The node left of the durable line: sound and time marks in, signed records in the outbox.

One plain step function without thread, clock or network. What it says depends on the items it is
given alone, so a run can be repeated to the byte. Delivery is `uplink`'s, threads are `daemon`'s.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msgspec import UNSET

from agent.app import proof
from agent.app.commanddesk import CommandDesk
from agent.app.health import Health, Reporter
from agent.app.heartbeat import Origin, Pulse
from agent.app.impulse import impulse_of
from agent.app.runs import Runs
from agent.app.visit import Receipted, Visit, WhenKept
from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Heard, MicrophoneState
from agent.core.clock import Timebase
from agent.core.clock.node_state import NodeState
from agent.core.clock.report import ClockReport
from agent.core.clock.survey import Survey, SurveyMemory, SurveySettings
from agent.core.clock.time_signs import Fix, TimeSign
from agent.core.clock.timebase import ClockSettings, StateChange
from agent.core.hearing import Hearing, Onset
from agent.core.hearing.classification import model_sha256
from agent.core.hearing.level_history import LevelHistory
from agent.core.hearing.thinning import Thinning
from agent.core.records import Draft
from agent.core.records.findings import Finding, verdict
from agent.core.records.kinds import Data, Gap, Heartbeat, Start, Stop, TimebaseChange
from agent.core.records.visit import HeardKind
from agent.core.trust.commands import Order
from agent.core.units import NS_PER_S, NS_PER_US
from agent.ports import HostVitals, Recorder


@dataclass(frozen=True, slots=True)
class Tick:
    """Host time has come this far, though nothing was heard."""

    host_ns: int


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a node must know besides its ports."""

    software: str
    settings_sha256: str
    previous_run: Literal["new-store", "clean", "unclean"]
    clock: ClockSettings
    least_score: float = 0.0
    file_sha256: str = ""
    survey: SurveyMemory | None = None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Somebody asks whether the node hears: the button at the pole, or a command."""

    host_ns: int


Item = Heard | TimeSign | Order | Tick | SelfTest


class Node:
    """Hears, stamps and records. Items come in the order of host time; `stop` ends the run.

    Without a `desk` it takes no orders. `on_mark` is told host time and UTC (ns) of each mark that
    was believed; `reporters` tell what other parts know of their health, `history` how loud the
    street was on earlier days, `backlog` how many records have no receipt, `when_kept` which number
    a record got. Raises StoreError when the outbox does; the node must then not be stepped again.
    """

    def __init__(
        self,
        settings: NodeSettings,
        fmt: AudioFormat,
        outbox: Recorder,
        vitals: HostVitals,
        on_mark: Callable[[int, int], None] = lambda host_ns, utc_ns: None,
        desk: CommandDesk | None = None,
        reporters: Iterable[Reporter] = (),
        history: LevelHistory | None = None,
        backlog: Callable[[], int] | None = None,
        when_kept: WhenKept = lambda act: None,
    ) -> None:
        self._settings, self._format, self._outbox = settings, fmt, outbox
        self._timebase = Timebase(fmt.rate_hz, settings.clock, fmt.buffer_ms)
        ears = partial(Hearing, least_score=settings.least_score)
        self._hearing, self._thinning = ears(fmt), Thinning(fmt.rate_hz)
        origin = Origin(settings.software, settings.settings_sha256, model_sha256(), backlog)
        self._pulse = Pulse(fmt, vitals, origin)
        self._health, self._vitals = Health(fmt, vitals, history, reporters, ears), vitals
        self.survey, self._runs = Survey(SurveySettings(), memory=settings.survey), Runs()
        self._on_mark, self._desk, self.visit = on_mark, desk, Visit(fmt, when_kept)
        self._is_started, self._microphone, self._heard_samples, self._heard_ns = False, "", 0, 0

    def step(self, item: Item) -> None:
        """Take one item; whatever there is to say is recorded on return."""
        self._pass_time(item.host_ns)
        match item:
            case AudioBlock():
                self._tell_change(self._timebase.on_block(item), item.host_ns)
                self._pulse.heard_samples += len(item.samples)
                self._heard_samples += len(item.samples)
                self._heard_ns = item.host_ns
                self._health.on_block(item, partial(self._utc_ns, item.host_ns))
                self._hearing.passes_over = not self.visit.is_waiting  # a clap is no shot
                self._tell_onsets(self._hearing.on_block(item), item.host_ns)
                self._say_all(self.visit.on_block(item), item.host_ns)
            case AudioGap():
                self._on_gap(item)
            case MicrophoneState():
                self._on_microphone(item)
            case Tick():
                pass
            case SelfTest():
                self._health.request_self_test()
            case Fix():
                self._on_fix(item)
            case Order():
                self._on_order(item)
            case _:
                self._on_sign(item)

    def stop(self, host_ns: int, reason: str) -> None:
        """Hear out what waits for more sound, and record the end of the run."""
        self._pass_time(host_ns)
        self._tell_onsets(self._hearing.finish(), host_ns)
        self._say_all((*self._thinning.closed(self._hearing.settled), *self._runs.rest()), host_ns)
        self._say(Stop(reason=reason), host_ns)

    def state(
        self,
        host_ns: int,
        source: str,
        boot: str,
        pid: int,
        is_receipted: Receipted = lambda seq: False,
    ) -> NodeState:
        """What to show to commands beside the daemon."""
        clock = self._timebase.report(host_ns)
        findings = self._findings(host_ns, clock)
        return NodeState(
            source=source,
            boot=boot,
            pid=pid,
            host_ns=host_ns,
            utc_ns=self._timebase.utc_at_host(host_ns).utc_ns,
            clock=clock,
            air_temperature_c=self._vitals.read().air_temperature_c,
            is_surveyed=self.survey.is_surveyed,
            place_sigma_m=self.survey.sigma_m,
            has_moved=self.survey.has_moved,
            health=verdict(findings),
            findings=findings,
            noise_percentiles_dbfs=self._health.liveness.percentiles_dbfs(),
            hearing_range_m=self._health.range_m(self._hearing.opens_at_dbfs, findings),
            software=self._settings.software,
            file_sha256=self._settings.file_sha256,
            level=self.visit.level(),
            full_scale_db_spl=self._format.full_scale_db_spl,
            heard=self.visit.heard(is_receipted),
            answer=self.visit.answer,
        )

    def proof(self, host_ns: int, receipted: str) -> proof.Proof:
        """What this run has shown by `host_ns`; `receipted` as in `proof.receipted`."""
        clock, now = self._timebase.report(host_ns), self._timebase.utc_at_host(host_ns)
        latency_ns = self._settings.clock.latency_ns
        return proof.Proof(
            heard=proof.heard(
                self._heard_samples / self._format.rate_hz,
                (host_ns - self._heard_ns) / NS_PER_S,
                self._findings(host_ns, clock),
            ),
            stamped=proof.stamped(
                now.utc_ns, clock, None if latency_ns is None else latency_ns / NS_PER_US
            ),
            receipted=receipted,
            is_locked=clock.state == "locked",
        )

    def _on_sign(self, sign: TimeSign) -> None:
        self._tell_change(self._timebase.on_sign(sign), sign.host_ns)
        if mark := self._timebase.taken_mark:
            self._on_mark(*mark)

    def _on_fix(self, fix: Fix) -> None:
        for record in self.survey.on_fix(fix):
            self._say(record, fix.host_ns)
        self._timebase.doubts.stand("position jumped", stands=self.survey.has_jumped)
        self._on_sign(fix)

    def _pass_time(self, host_ns: int) -> None:
        if not self._is_started:
            self._is_started = True
            self._pulse.start(host_ns)
            self._health.start(host_ns)
            self._say(
                Start(
                    software=self._settings.software,
                    settings_sha256=self._settings.settings_sha256,
                    rate_hz=self._format.rate_hz,
                    reason=self._settings.previous_run,
                    buffer_ms=UNSET if self._format.buffer_ms is None else self._format.buffer_ms,
                ),
                host_ns,
            )
        self._tell_change(self._timebase.on_time(host_ns), host_ns)
        if correction := self._timebase.take_correction(host_ns):
            self._say(correction, host_ns)
        self._say_all(self._runs.due(host_ns), host_ns)
        if self._pulse.is_due(host_ns):
            summaries = self._thinning.due(self._hearing.settled)
            self._say_all((*summaries, self._beat(host_ns)), host_ns)
        self.visit.pass_time(host_ns)
        if self._desk:
            self._say_all(self._desk.pass_time(host_ns), host_ns)

    def _on_order(self, order: Order) -> None:
        if self._desk:
            at_ns, timebase = order.host_ns, self._timebase
            now, beat = timebase.utc_at_host(at_ns), partial(self._beat, at_ns)
            told = self._desk.take(order, now.utc_ns, now.sigma_ns, beat, timebase.quality(at_ns))
            self._say_all(told, at_ns)

    def _beat(self, host_ns: int) -> Heartbeat:
        self._health.on_minute(self._pulse.heard_samples, self._pulse.lost_samples)
        findings = self._findings(host_ns, self._timebase.report(host_ns))
        return self._pulse.beat(
            host_ns,
            self._hearing.noise_dbfs,
            findings,
            self._health.liveness.percentiles_dbfs(),
            self._health.range_m(self._hearing.opens_at_dbfs, findings),
        )

    def _findings(self, host_ns: int, clock: ClockReport) -> tuple[Finding, ...]:
        return self._health.findings(
            host_ns, clock, is_surveyed=self.survey.is_surveyed, has_moved=self.survey.has_moved
        )

    def _utc_ns(self, host_ns: int) -> int | None:
        return self._timebase.utc_at_host(host_ns).utc_ns

    def _on_gap(self, gap: AudioGap) -> None:
        self._tell_onsets(self._hearing.on_gap(gap), gap.host_ns)
        self.visit.on_gap()
        self._tell_change(self._timebase.on_gap(gap), gap.host_ns)
        self._pulse.lost_samples += gap.lost
        record = Gap(first_sample=gap.first_sample, lost_samples=gap.lost, reason=gap.reason)
        self._say_all(self._runs.gap(record, gap.host_ns), gap.host_ns)

    def _on_microphone(self, state: MicrophoneState) -> None:
        """Of a read that hangs a heartbeat tells at once, for the process may not last."""
        self._health.on_microphone(state)
        before, self._microphone = self._microphone, state.condition
        if state.condition == "stuck" != before:
            self._say(self._beat(state.host_ns), state.host_ns)

    def _tell_change(self, change: StateChange | None, host_ns: int) -> None:
        if change:
            record = TimebaseChange(before=change.before, after=change.after, reason=change.reason)
            self._say_all(self._runs.change(record, host_ns), host_ns)

    def _tell_onsets(self, onsets: list[Onset], host_ns: int) -> None:
        self._health.on_onsets(onsets, (passed := self._hearing.passed_over()).hopeless)
        self._pulse.triggers += len(onsets) + passed.count
        for onset in onsets:
            stamp = self._timebase.stamp_sample(onset.sample)
            summaries, is_thinned = self._thinning.take(onset, stamp.utc_ns, stamp.sigma_ns)
            self._say_all(summaries, host_ns)
            kind: HeardKind = ""
            for clap in self.visit.on_onset(onset, stamp):
                kind = "clap"
                self._say(clap, host_ns, stamp.utc_ns)
            if onset.verdict.accepted and not is_thinned:
                self._pulse.published += 1
                impulse = impulse_of(onset, stamp, self._format.rate_hz, self._timebase.pairs())
                kind = kind or "impulse"
                self._say(impulse, host_ns, stamp.utc_ns)
            self.visit.note(onset, stamp, host_ns, kind)

    def _say_all(self, told: Iterable[Data], host_ns: int) -> None:
        for data in told:
            self._say(data, host_ns)

    def _say(self, data: Data, host_ns: int, utc_ns: int | None = None) -> None:
        """Record `data`, said at `host_ns` about `utc_ns` (about now if not given)."""
        if utc_ns is None:
            utc_ns = self._timebase.utc_at_host(host_ns).utc_ns
        quality = self._timebase.quality(host_ns)
        self._outbox.append(Draft(data=data, clock=quality, host_ns=host_ns, utc_ns=utc_ns))
