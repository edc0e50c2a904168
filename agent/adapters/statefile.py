"""The node's state in the runtime directory: written by the daemon, read by commands beside it.

Replaced as a whole, so that a reader never sees half of it. It lives in memory and dies with
the host: nothing here is durable. The other way a command lays a wish there, which the daemon
takes away; who may write there is the directory's matter.
"""

import logging
import os
from pathlib import Path

import msgspec

from agent.core.clock.node_state import NodeState
from agent.core.records.visit import Wish
from agent.core.units import NS_PER_S
from agent.errors import StateError

NAME = "state.json"
WISH = "wish.json"
MAX_WISH_BYTES = 1024
STALE_NS = 10 * NS_PER_S
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger("earshot")


def boot_id() -> str:
    """What tells one boot of the host from another; empty where the kernel has none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""


class StaleState(StateError):
    """A state of this boot that was not renewed."""


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
    if not _is_alive(state.pid):
        raise StateError(f"{path}: was left by a daemon that has stopped")
    age_ns = host_ns - state.host_ns
    if age_ns > STALE_NS:
        age_s = age_ns // NS_PER_S
        raise StaleState(f"{path}: is {age_s} s old: the daemon has stopped or hangs")
    return state


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is another user's
    return True


class WishFile:
    """What commands beside the daemon ask of it, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / WISH

    def take(self) -> Wish | None:
        """What was asked since the last call; what cannot be read is removed and told."""
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_WISH_BYTES + 1)
            self._path.unlink()
            return msgspec.json.decode(raw, type=Wish)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("%s: not understood: %s", self._path, error)
            return None


def wish(directory: Path, wanted: Wish) -> None:
    """Ask it of the daemon that shows its state in `directory`. Raises StateError."""
    path = directory / WISH
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(msgspec.json.encode(wanted))
        fresh.chmod(0o644)
        fresh.replace(path)
    except OSError as error:
        raise StateError(
            f"{path}: cannot be written: {error.strerror}: ask as root, or as the agent's user"
        ) from None
