"""A look at a node whose daemon does not run: its sound for some seconds, its host, its broker.

Everything is opened, looked at and closed again; only a running node knows more than that.
"""

import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import numpy as np

import agent
from agent.adapters.host import SystemClock, kernel_discipline
from agent.adapters.knowntime import KnownTime
from agent.adapters.vitals import SystemVitals
from agent.app.hosthealth import about_host
from agent.app.linkhealth import about_certificate, paper_in
from agent.app.trustedclock import TrustedClock
from agent.core.audio import AudioBlock, MicrophoneState, Samples, to_float
from agent.core.hearing.look import Look, Looker
from agent.core.hearing.selftest import BED_S, about_hearing, self_test
from agent.core.hearing.symptoms import SYMPTOMS
from agent.core.records.findings import Finding, found, healthy, unknown
from agent.core.records.sound_faults import FAULT_OF_MICROPHONE
from agent.core.units import NS_PER_MS, NS_PER_S
from agent.errors import AudioError, EarshotError
from agent.ports import AudioSource
from agent.settings import Settings

LISTEN_S = 3.0
_PATIENCE_S = 8.0
_BROKER_S = 3.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}
LISTENING = "listening"


def probed(settings: Settings) -> Iterator[Finding]:
    """All that can be found out now. Takes some seconds; never raises EarshotError."""
    yield from about_host(SystemVitals(Path(settings.store.directory)).read())
    yield from _about_device(settings)
    yield from about_broker(settings.broker.url)
    yield from _about_time(settings)
    if certificate := settings.broker.certificate:
        known = KnownTime(Path(settings.store.directory) / "known-utc").utc_ns
        released_ns = agent.RELEASED_UTC_S * NS_PER_S
        clock = TrustedClock(SystemClock(), released_ns, known, kernel_discipline)
        yield about_certificate(paper_in(Path(certificate)), clock.now())


def about_sound(source: AudioSource, seconds: float = LISTEN_S) -> Iterator[Finding]:
    """What so much sound shows of the microphone and of the hearing path."""
    rate_hz = source.format.rate_hz
    parts, trouble = _heard(source, round(seconds * rate_hz))
    looker = Looker(rate_hz)
    if trouble:
        yield found(FAULT_OF_MICROPHONE[trouble.condition], trouble.reason)
        return
    if sum(map(len, parts)) < looker.count:
        yield found("microphone-hung", f"no sound for {_PATIENCE_S:.0f} s")
        return
    heard = cast(Samples, np.concatenate(parts))
    starts = range(0, len(heard) - looker.count + 1, looker.count)
    yield from _about_looks([looker.look(heard[at : at + looker.count]) for at in starts])
    bed = np.concatenate([to_float(part) for part in parts])[: round(BED_S * rate_hz)]
    yield about_hearing(self_test(source.format, bed))


def about_broker(url: str) -> Iterator[Finding]:
    """Whether anybody answers at the broker's address; what it would say to us is not asked."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1883)
    try:
        socket.create_connection((host, port), timeout=_BROKER_S).close()
    except OSError as error:
        yield found("broker-away", f"{host}:{port}: {error.strerror or error}")
    else:
        yield healthy("broker", f"{host}:{port} answers")


def _about_device(settings: Settings) -> Iterator[Finding]:
    from agent.app.soundsource import sound_source

    try:
        source = sound_source(settings.audio, SystemClock())
    except AudioError as error:
        yield found("microphone-failed", str(error))
        return
    try:
        yield from about_sound(source)
    except EarshotError as error:
        yield found("microphone-failed", str(error))
    finally:
        source.close()


def _heard(source: AudioSource, wanted: int) -> tuple[list[Samples], MicrophoneState | None]:
    """So many samples on end, or what the microphone says of itself; nothing if it hangs."""
    parts: list[Samples] = []
    troubles: list[MicrophoneState] = []

    def listen() -> None:
        while sum(map(len, parts)) < wanted and not troubles:
            sound = source.read()
            if isinstance(sound, AudioBlock):
                parts.append(sound.samples)
            elif isinstance(sound, MicrophoneState) and sound.condition != "hearing":
                troubles.append(sound)
            elif sound is None:
                break

    thread = threading.Thread(target=listen, name=LISTENING, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return ([], None) if thread.is_alive() else (parts, troubles[0] if troubles else None)


def _about_looks(looks: Iterable[Look]) -> Iterator[Finding]:
    seen = list(looks)
    ill = [name for name, (extent, too_much) in SYMPTOMS.items() if extent(seen) >= too_much]
    for name in ill:
        yield found(name, f"for {LISTEN_S:.0f} s")
    if not [name for name in ill if name != "wind"]:
        levels = sorted(one.level_db for one in seen)
        yield healthy("microphone", f"{levels[len(levels) // 2]:.0f} dBFS")


def _about_time(settings: Settings) -> Iterator[Finding]:
    """Of a receiver only a running node can tell."""
    if settings.time.source != "system":
        return
    try:
        known = kernel_discipline()
    except OSError as error:
        yield unknown("clock", f"the kernel does not tell: {error.strerror}")
        return
    if known.is_synchronised:
        yield healthy("clock", f"the host's, within {known.max_error_ns / NS_PER_MS:.0f} ms")
    else:
        yield found("host-time")
