"""Which adapters tell a node the time, and what its clock is told, by the settings.

A part of the composition root (`wiring`), which is the only room that uses it.
"""

from collections.abc import Iterator
from pathlib import Path

import agent
from agent.adapters import casic, nmea, ubx
from agent.adapters.host import HostWitness, SleepWatch, SystemTimeReference, kernel_discipline
from agent.adapters.pps import AwaitedPps, DevicePps, SysfsPps
from agent.adapters.pulseway import ToldWay, frame_of
from agent.adapters.receiver import ByteReader, Echo, SerialReceiver
from agent.adapters.thermometer import Thermometer
from agent.adapters.time_daemons import AskedDaemons
from agent.core.clock.thermal import CrystalSlope
from agent.core.clock.timebase import ClockSettings
from agent.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from agent.ports import HostClock, TimeReference
from agent.settings import Settings, TimeSection

SIM_SIGMA_NS = 1000


def clock_settings(
    settings: Settings, confirmed_utc_ns: int | None, slope: CrystalSlope | None
) -> ClockSettings:
    """What the clock is told."""
    audio, time, usual = settings.audio, settings.time, TimeSection()
    is_simulated = time.source == "sim"
    return ClockSettings(
        source=time.source,
        latency_ns=None if audio.latency_us is None else audio.latency_us * NS_PER_US,
        latency_bound_ns=audio.latency_bound_us * NS_PER_US,
        nmea_lag_ns=time.nmea_lag_ms * NS_PER_MS,
        nmea_sigma_ns=time.nmea_sigma_ms * NS_PER_MS,
        is_pulse_known=time.pps_sigma_ns != usual.pps_sigma_ns,
        is_lag_known=time.nmea_lag_ms != usual.nmea_lag_ms,
        is_host_vouched=time.require_sync,
        earliest_utc_ns=0 if is_simulated else agent.RELEASED_UTC_S * NS_PER_S,
        last_known_utc_ns=None if is_simulated else confirmed_utc_ns,
        crystal_slope=slope,
    )


def time_references(
    time: TimeSection, clock: HostClock, own: TimeReference | None = None
) -> Iterator[TimeReference]:
    """All that tells about UTC, `own` being what an earlier run knew. In "sim" the host's clock is
    the truth by definition."""
    yield SleepWatch(clock)
    yield Thermometer(clock)
    if time.source == "sim":
        yield SystemTimeReference(clock, SIM_SIGMA_NS, "sim")
        return
    sigma_ns = time.system_sigma_ms * NS_PER_MS
    if time.source in ("pps", "pps-adc"):
        yield from _pulses(time, clock)
    if time.receiver:
        if own is not None:
            yield own
        reader = ByteReader(
            time.baud,
            nmea.NmeaParser().parse,
            ubx.UbxFrames().parse,
            casic.CasicFrames().parse,
            Echo(ubx.question(), ubx.is_answer),
        )
        hello = ubx.switch_on() if time.ublox else []
        yield SerialReceiver(time.receiver, time.baud, clock, reader, hello, _ask_for_sentences)
        if not time.chrony_socket:  # else the host's clock may be kept by this very receiver
            yield HostWitness(clock, sigma_ns, kernel_discipline, AskedDaemons())
    elif not time.require_sync:
        yield SystemTimeReference(clock, sigma_ns)
    else:
        keeper = AskedDaemons()
        yield SystemTimeReference(clock, sigma_ns, "system", kernel_discipline, keeper)
        if time.source != "system":  # pulses that it names: it is their witness too
            yield HostWitness(clock, sigma_ns, kernel_discipline, keeper)


def _ask_for_sentences(baud: int) -> list[bytes]:
    """In the languages in which other daemons leave receivers; others do not know the words."""
    return [*ubx.speak_sentences(baud), *casic.speak_sentences(baud), nmea.CASIC_SENTENCES]


def _pulses(time: TimeSection, clock: HostClock) -> list[TimeReference]:
    """The kernel's pulse; beside one in the sound it only measures the latency of capture."""
    path = Path(time.pps_device)
    if time.source == "pps-adc" and not path.exists():
        return []

    def open_source() -> TimeReference:
        kind = SysfsPps if path.is_dir() else DevicePps
        return ToldWay(kind(path, clock, time.pps_sigma_ns), frame_of(path))

    return [AwaitedPps(open_source, clock)]
