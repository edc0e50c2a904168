"""What the supervisor of the process is told, so that it restarts a node that hangs.

It is told that the node is ready with the first sound, and is fed only once capture, detector and
store have all advanced since the last time.
"""

from agent.app.node import Item
from agent.app.progress import PARTS, Progress
from agent.core.audio import AudioBlock, MicrophoneState
from agent.ports import Supervisor

LOOK_S = 0.5
CAPTURE_HANGS_S = 12.0
"""More than a child takes that is asked for devices, and little enough to hear again in 30 s."""


class Watchdog:
    """Looks at `progress` whenever it is called, every LOOK_S.

    Looks are counted, not seconds: a process that was stopped for long has not hung.
    """

    def __init__(self, progress: Progress, supervisor: Supervisor | None) -> None:
        self._progress, self._supervisor = progress, supervisor
        self._fed = dict.fromkeys(PARTS, 0)
        self._captured = self._looks_in_vain = 0
        self._is_ready, self._told = False, ""

    def look(self, host_ns: int) -> MicrophoneState | None:
        """Feed the supervisor, if every part has advanced since that was last so. The microphone's
        state if capture hangs: it has not come back for CAPTURE_HANGS_S."""
        captured = self._progress.turns("capture")
        self._looks_in_vain = self._looks_in_vain + 1 if captured == self._captured else 0
        self._captured = captured
        now = {part: self._progress.turns(part) for part in PARTS}
        if self._supervisor and all(now[part] > self._fed[part] for part in PARTS):
            self._supervisor.feed()
            self._fed = now
        if self._looks_in_vain * LOOK_S < CAPTURE_HANGS_S:
            return None
        since = f"no read has returned for {CAPTURE_HANGS_S:.0f} s"
        told = f"microphone hangs: {since}: unplug it for 5 s"
        return MicrophoneState(host_ns, "stuck", told)

    def on_item(self, item: Item) -> None:
        """The node has heard it."""
        if self._supervisor is None:
            return
        if isinstance(item, AudioBlock) and not self._is_ready:
            self._is_ready = True
            self._supervisor.ready()
        elif isinstance(item, MicrophoneState) and item.condition != self._told:
            self._told = item.condition
            self._supervisor.tell(item.reason or item.condition)
