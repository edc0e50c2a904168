"""The node's state in the runtime directory: written by the daemon, read by commands beside it.

Replaced as a whole, so that a reader never sees half of it. It lives in memory and dies with
the host: nothing here is durable.
"""

import logging
from pathlib import Path

import msgspec

from agent.core.clock.node_state import NodeState
from agent.core.units import NS_PER_S
from agent.errors import StateError

NAME = "state.json"
STALE_NS = 10 * NS_PER_S
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger("earshot")


def boot_id() -> str:
    """What tells one boot of the host from another; empty where the kernel has none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class StateFile:
    """Posts states to `directory`; one that cannot be written is told of once, and goes on."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._is_told = False

    def post(self, state: NodeState) -> None:
        """Replace what stood there."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(msgspec.json.encode(state))
            fresh.chmod(0o644)
            fresh.replace(self._path)
        except OSError as error:
            if not self._is_told:
                log.warning("%s: state is not shown: %s", self._path.parent, error.strerror)
            self._is_told = True


def read_state(directory: Path, host_ns: int) -> NodeState:
    """The state that a daemon posted to `directory` lately. Raises StateError."""
    path = directory / NAME
    try:
        state = msgspec.json.decode(path.read_bytes(), type=NodeState)
    except FileNotFoundError:
        raise StateError(
            f"{path}: no such file: no daemon is running, or its [runtime] directory is another"
        ) from None
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StateError(f"{path}: is no state of this version: {error}") from None
    if state.boot != boot_id():
        raise StateError(f"{path}: is of an earlier boot: no daemon has run since")
    age_ns = host_ns - state.host_ns
    if age_ns > STALE_NS:
        age_s = age_ns // NS_PER_S
        raise StateError(f"{path}: is {age_s} s old: the daemon has stopped or hangs")
    return state
