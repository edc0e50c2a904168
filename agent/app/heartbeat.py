"""Proof of listening: what a node heard and said since its last heartbeat."""

from agent.core.audio import AudioFormat, MicrophoneState
from agent.core.records.kinds import Heartbeat
from agent.core.units import NS_PER_S
from agent.ports import HostVitals

PERIOD_NS = 60 * NS_PER_S


class Pulse:
    """Counts for one heartbeat at a time; the first is due PERIOD_NS after the start.

    `microphone` is the last that it told of itself, None where it only ever told sound.
    """

    def __init__(self, fmt: AudioFormat, vitals: HostVitals) -> None:
        self._format, self._vitals = fmt, vitals
        self._started_ns = self._due_ns = 0
        self.microphone: MicrophoneState | None = None
        self._begin_period()

    def start(self, host_ns: int) -> None:
        """The agent's run begins."""
        self._started_ns, self._due_ns = host_ns, host_ns + PERIOD_NS

    def is_due(self, host_ns: int) -> bool:
        """True once per period; a host that slept owes one heartbeat, not one per period."""
        return host_ns >= self._due_ns

    def beat(self, host_ns: int, noise_dbfs: float | None) -> Heartbeat:
        """What to say now; counting starts afresh."""
        full_scale = self._format.full_scale_db_spl
        is_calibrated = noise_dbfs is not None and full_scale is not None
        heartbeat = Heartbeat(
            uptime_s=(host_ns - self._started_ns) // NS_PER_S,
            heard_samples=self.heard_samples,
            lost_samples=self.lost_samples,
            noise_dbfs=noise_dbfs,
            noise_db_spl=round((noise_dbfs or 0) + (full_scale or 0), 2) if is_calibrated else None,
            triggers=self.triggers,
            published=self.published,
            air_temperature_c=self._vitals.read().air_temperature_c,
        )
        self._due_ns += PERIOD_NS * (1 + (host_ns - self._due_ns) // PERIOD_NS)
        self._begin_period()
        return heartbeat

    def _begin_period(self) -> None:
        self.heard_samples = self.lost_samples = self.triggers = self.published = 0
