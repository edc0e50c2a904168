"""A node under a sky that can be covered: pulses and sentences of a receiver on a host's clock."""

from agent.adapters.vitals import SystemVitals
from agent.app.node import Node, NodeSettings, Tick
from agent.app.trustedclock import TrustedClock
from agent.core.audio import AudioFormat
from agent.core.clock.lock import ClockSettings
from agent.core.clock.node_state import NodeState
from agent.core.clock.time_signs import Discontinuity, Fix, Pulse
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.ports import Recorder


class WakingHost:
    """A board without a battery (HostClock port): wherever its calendar began, seconds pass."""

    def __init__(self, began_utc_ns: int = 0) -> None:
        self.began_utc_ns, self.host_ns = began_utc_ns, 7 * NS_PER_S

    def monotonic_ns(self) -> int:
        return self.host_ns

    def realtime_ns(self) -> int:
        return self.began_utc_ns + self.host_ns


class PoleUnderSky:
    """A real node that tells `trusted` each second what its clock says, as the daemon does.

    `utc_ns` is the truth when the host's monotonic clock was at zero.
    """

    def __init__(
        self, host: WakingHost, utc_ns: int, outbox: Recorder, trusted: TrustedClock
    ) -> None:
        self.host, self.utc_ns, self.trusted = host, utc_ns, trusted
        settings = NodeSettings("test", "0" * 64, "new-store", ClockSettings(source="pps"))
        self.node = Node(settings, AudioFormat(16_000), outbox, SystemVitals())

    def pass_time(self, seconds: int, *, satellites: bool) -> None:
        """So many whole seconds, with a receiver that sees satellites or says nothing."""
        for _ in range(seconds):
            self.host.host_ns += NS_PER_S
            now_ns = self.host.host_ns
            if satellites:
                self.node.step(Pulse(now_ns, 1_000))
                lag_ns = 130 * NS_PER_MS
                self.node.step(Fix(now_ns + lag_ns, self.utc_ns + now_ns, True, False, 9))
            self.node.step(Tick(now_ns + 900 * NS_PER_MS))
            self.show()

    def sleep(self, seconds: int) -> None:
        """The host is suspended: the truth goes on without its monotonic clock."""
        self.utc_ns += seconds * NS_PER_S
        self.node.step(Discontinuity(self.host.host_ns + 950 * NS_PER_MS, "host slept"))
        self.show()

    def show(self) -> NodeState:
        state = self.node.state(self.host.host_ns, "urn:earshot:test", "boot", 1)
        self.trusted.learn(state)
        return state
