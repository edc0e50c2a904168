"""`earshot check --clap`: a clap's whole way, from the hands to the locator's receipt and back."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from agent.adapters.statefile import read_state, wish
from agent.core.clock.node_state import NodeState
from agent.core.records.visit import Heard, Wish
from agent.core.units import moment_of
from agent.settings import Settings, load

CLAP_S, RECEIPT_S = 30.0, 30.0
SELF_TEST_S = 4.0  # of sound, and some to hear it in
_POLL_S = 0.2


def clap(config: Path) -> int:
    """Say each step as it comes, or what did not come. Raises StateError without a daemon."""
    settings = load(config)
    asked = Wish(id=secrets.token_hex(16), verb="clap")
    _state(settings)
    wish(Path(settings.runtime.directory), asked)
    taken = _wait(settings, lambda state: state.answer is not None and state.answer.id == asked.id)
    if not taken:
        print("The agent does not take the wish: it hangs, or is of an older version.")
        return 1
    print(f"Clap once, an arm's length from the microphone ({CLAP_S:.0f} s) ...", flush=True)
    state = _wait(settings, lambda state: _found(state) is not None or _failed(state))
    one = _found(state) if state else None
    if not one:
        print("NOT HEARD: no sound stood out. Clap louder; if that fails, `earshot check`.")
        return 1
    print(f"heard     score {one.score:.2f}: {one.reason}")
    print(f"level     peak {one.peak_dbfs:.1f} dBFS, {one.snr_db:.0f} dB over the street")
    is_timed = one.utc_ns is not None and one.sigma_ns is not None
    if one.utc_ns is not None and one.sigma_ns is not None:
        at = f"{moment_of(one.utc_ns):%H:%M:%S}.{one.utc_ns % 10**9 // 10**3:06d}"
        print(f"time      {at} UTC, +-{one.sigma_ns / 1000:.0f} us")
    else:
        print("NO TIME: the clock gives none. `earshot time` says what is missing.")
    receipted = _wait(settings, _is_receipted, RECEIPT_S)
    if receipted:
        print("receipt   the locator has it")
    else:
        print("NO RECEIPT: the locator has not answered. `earshot check` says what is in the way.")
    return 0 if receipted and is_timed else 1


def self_test(config: Path) -> None:
    """Ask for a test of the hearing path, and wait until it is over. Raises StateError."""
    settings = load(config)
    _state(settings)
    asked = Wish(id=secrets.token_hex(16), verb="self-test")
    wish(Path(settings.runtime.directory), asked)
    _wait(settings, lambda state: state.answer is not None and state.answer.id == asked.id)
    time.sleep(SELF_TEST_S)


def _state(settings: Settings) -> NodeState:
    return read_state(Path(settings.runtime.directory), time.monotonic_ns())


def _wait(
    settings: Settings, is_so: Callable[[NodeState], bool], seconds: float = CLAP_S
) -> NodeState | None:
    """The first state of which it is so; None if none came in time."""
    until = time.monotonic() + seconds + 2
    while time.monotonic() < until:
        state = _state(settings)
        if is_so(state):
            return state
        time.sleep(_POLL_S)
    return None


def _found(state: NodeState) -> Heard | None:
    """The clap that answers the latest wish."""
    if state.answer is None or state.answer.outcome != "done":
        return None
    claps = [one for one in state.heard if one.kind == "clap"]
    return claps[-1] if claps else None


def _is_receipted(state: NodeState) -> bool:
    one = _found(state)
    return one is not None and one.is_receipted


def _failed(state: NodeState) -> bool:
    return state.answer is not None and state.answer.outcome == "failed"
