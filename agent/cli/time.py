"""`earshot time`: is this node's clock good, and if not, what is to be done about it.

Reads the state that the running daemon shows; exit code 0 when locked, 1 when not, 2 when there
is no state to read. `earshot time calibrate` turns a measured capture latency into settings.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from agent.cli.put import tell_line
from agent.cli.run import DEFAULT_FILE
from agent.core.clock.node_state import NodeState
from agent.errors import StateError
from agent.settings import Settings, load

_SOUND_M_PER_S = 343.0
_REFRESH_S = 1.0


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "time",
        help="show the state of the clock, and what to do",
        epilog="exit codes: 0 locked, 1 not locked, 2 nothing to read",
    )
    parser.add_argument("verb", nargs="?", choices=("show", "calibrate"), default="show")
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--watch", action="store_true", help="refresh every second until Ctrl-C")
    parser.add_argument(
        "--write", action="store_true", help="with calibrate: put the line into the settings file"
    )
    parser.set_defaults(command=_time)


def _time(arguments: argparse.Namespace) -> int:
    settings = load(arguments.config)
    if arguments.verb == "calibrate":
        return _calibrate(settings, arguments.config, write=arguments.write)
    while True:
        state = _read(settings)
        text = _as_json(state, settings) if arguments.json else "\n".join(_words(state, settings))
        if not arguments.watch:
            print(text)
            return 0 if state.clock.state == "locked" else 1
        print("\x1b[2J\x1b[H" + text, flush=True)
        time.sleep(_REFRESH_S)


def _read(settings: Settings) -> NodeState:
    from agent.adapters.statefile import read_state

    return read_state(Path(settings.runtime.directory), time.monotonic_ns())


def _as_json(state: NodeState, settings: Settings) -> str:
    import msgspec

    from agent.core.clock.advice import advice, headline

    content = msgspec.to_builtins(state)
    content["words"] = headline(state.clock)
    content["advice"] = advice(state.clock, settings.time.source)
    return json.dumps(content, indent=2)


def _words(state: NodeState, settings: Settings) -> list[str]:
    from agent.core.clock.advice import advice, headline

    rows = [
        ("time error", _sigma(state)),
        ("why", state.clock.reason),
        ("which second", _which_second(state)),
        ("source", _source(state, settings)),
        ("satellites", _fix(state)),
        ("pulses", _pulses(state)),
        ("crystal", _crystal(state)),
        ("capture", _capture(state, settings.audio.latency_bound_us)),
        ("deliveries", _deliveries(state)),
        ("assumed", ", ".join(state.clock.assumed)),
        ("leap second", _unknown_is_said(state.clock.leap)),
        ("spoofing", _unknown_is_said(state.clock.spoof)),
        ("jamming", _unknown_is_said(state.clock.jam)),
        ("place", _place(state)),
        ("refused", _refused(state)),
    ]
    lines = [f"{state.source}: {headline(state.clock)}"]
    lines += [f"  {name:<13}{value}" for name, value in rows if value]
    lines += [f"  -> {line}" for line in advice(state.clock, settings.time.source)]
    return lines


def _sigma(state: NodeState) -> str:
    sigma_ns = state.clock.sigma_ns
    if sigma_ns is None:
        return "unknown"
    celsius = state.air_temperature_c
    speed = _SOUND_M_PER_S if celsius is None else 331.3 * (1 + celsius / 273.15) ** 0.5
    metres = sigma_ns * 1e-9 * speed
    shown = f"{metres * 1000:.1f} mm" if metres < 0.1 else f"{metres:.2f} m"
    return f"{sigma_ns / 1000:.1f} us (1 sigma), which is {shown} of sound"


def _which_second(state: NodeState) -> str:
    """Whose word stands for it, or what nobody has excluded."""
    clock = state.clock
    if clock.state in ("unsynchronised", "acquiring") and not clock.excluded:
        return ""
    if clock.confirmed:
        by = ", ".join(dict.fromkeys(clock.excluded.values()))
        return f"confirmed by {by}" if by else "confirmed"
    return f"UNCONFIRMED, open: {', '.join(clock.alternatives) or 'a contradiction, see below'}"


def _source(state: NodeState, settings: Settings) -> str:
    wanted, used = settings.time.source, state.clock.source
    return wanted if used in (wanted, "none") else f"{used} (configured: {wanted})"


def _fix(state: NodeState) -> str:
    clock = state.clock
    if clock.has_fix is None:
        return "no report from a receiver" if clock.source in ("pps", "pps-adc", "nmea") else ""
    fix = "fix" if clock.has_fix else "NO FIX"
    return fix if clock.satellites is None else f"{fix}, {clock.satellites} used"


def _pulses(state: NodeState) -> str:
    clock = state.clock
    if clock.mark_age_ms is None:
        return "none yet"
    scatter = "" if clock.residual_ns is None else f", scatter {clock.residual_ns / 1000:.2f} us"
    lag = "" if clock.nmea_lag_ms is None else f", sentences {clock.nmea_lag_ms} ms later"
    return f"last good one {clock.mark_age_ms / 1000:.1f} s ago{scatter}{lag}"


def _crystal(state: NodeState) -> str:
    clock = state.clock
    if clock.oscillator_ppm is None:
        return ""
    wander = clock.wander_ppm_per_sqrt_hour
    told = f"{clock.oscillator_ppm:+.3f} ppm"
    if wander is not None:
        told += f", wanders {wander:.2f} ppm per root hour"
    if clock.ppm_per_c is not None and clock.ppm_per_c_sigma is not None:
        told += f", {clock.ppm_per_c:+.3f} +-{clock.ppm_per_c_sigma:.3f} ppm per C"
    return told


def _deliveries(state: NodeState) -> str:
    clock = state.clock
    told = {
        "unknown": "",
        "fits": "as assumed",
        "quantised": "by frames, which may hide the earliest by "
        f"{clock.delivery_quantum_us or 0:.0f} us",
        "thin start": "rarely prompt: sigma says so",
    }[clock.deliveries]
    held = "" if clock.buffer_ms is None else f"buffer {clock.buffer_ms} ms"
    return ", ".join(part for part in (told, held) if part)


def _capture(state: NodeState, bound_us: int) -> str:
    clock = state.clock
    late = "" if clock.delivery_delay_us is None else f", blocks {clock.delivery_delay_us:.0f} us"
    told = (
        "latency calibrated"
        if clock.latency == "calibrated"
        else (f"latency not calibrated: its bound of {bound_us} us is inside the time error")
    )
    return told + (f"{late} late on average" if late else "")


def _unknown_is_said(word: str) -> str:
    return "this receiver cannot tell" if word == "unknown" else word


def _place(state: NodeState) -> str:
    if state.has_moved:
        return "MOVED from the surveyed place"
    if state.place_sigma_m is None:
        return ""
    word = "surveyed" if state.is_surveyed else "survey under way"
    return f"{word}, {state.place_sigma_m:.1f} m (1 sigma)"


def _refused(state: NodeState) -> str:
    counts = state.clock.refused.items()
    told = ", ".join(f"{count} x {reason}" for reason, count in counts)
    return f"{told} (last minute)" if told else ""


def _calibrate(settings: Settings, path: Path, *, write: bool) -> int:
    """Tell the measured constant latency of capture, and the line that makes use of it."""
    clock = _read(settings).clock
    if clock.measured_latency_us is None:
        raise StateError(
            'nothing was measured: set time.source = "pps-adc" with the pulse on '
            "audio.pps_channel and time.pps_device, run for two minutes, and try again"
        )
    print(f"measured: the sound is stamped {clock.measured_latency_us:.1f} us late")
    latency_us = max(0, round(clock.measured_latency_us))
    tell_line(path, f"latency_us = {latency_us}", write=write)
    return 0
