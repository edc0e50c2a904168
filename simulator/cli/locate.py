"""`earshot-sim locate`: the reference locator on its own, against any broker.

It keeps its store and its key, so it may be stopped and started at will: nodes hold what it has
not receipted, and it never counts a record twice. A broker that is not there yet is waited for.
It needs the node's own packages alone.
"""

import argparse
import signal
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from agent.adapters.host import SystemClock, kernel_discipline
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.units import NS_PER_MS, rfc3339
from agent.errors import LinkError
from simulator.centre.locator import registry
from simulator.centre.locator.incident import Incident
from simulator.centre.locator.registry import Registry
from simulator.centre.locator.service import SESSION_EXPIRY_S, SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from simulator.centre.locator.watch import Watch
from simulator.centre.locator.windows import Revision
from simulator.centre.stated_clock import KERNEL, Present, StatedClock
from simulator.cli.arguments import tls_files
from simulator.report.wording import clock_time, count, place

_STEP_S = 0.2


def command(arguments: argparse.Namespace) -> int:
    """Locate until stopped, or for so many seconds. SIGTERM ends it in order."""
    known = registry.load(arguments.registry)
    signer = _signer(arguments.key)
    tls = tls_files(arguments)
    stop = _Stop()
    with closing(_store(arguments.store, known, signer)) as store:
        _introduce(signer, known, arguments.broker)
        wake = threading.Event()
        options = MqttOptions(
            url=arguments.broker,
            client_id=f"earshot-locator-{signer.keyid}",
            subscriptions=SUBSCRIPTIONS,
            session_expiry_s=SESSION_EXPIRY_S,
            protocol=arguments.protocol,
            **tls,
        )
        with closing(MqttLink(options, wakeup=wake.set)) as link:
            clock = _stated_clock(arguments.clock_node, known)
            teller = _ClockTeller(clock, arguments.clock_node)
            teller.look()
            service = LocatorService(
                store, link, known, announce=announce, watch=_watch(known), clock=clock
            )
            if not _serve(service, wake, arguments.for_s, stop, teller) and not stop:
                why = service.trouble or "no answer: is it an MQTT broker?"
                raise LinkError(f"{arguments.broker}: {why}")
    rejected = sum(service.counters.rejected.values())
    _tell(f"{count(service.counters.admitted, 'record')} admitted, {rejected} rejected")
    for reason, times in service.counters.rejected.most_common():
        _tell(f"rejected {times}: {reason}")
    for source, times in service.counters.late.most_common():
        _tell(f"over quota {times} times, for later: {source or 'nobody known'}")
    return 0


def incident_line(incident: Incident) -> str:
    """One incident for a person, on one line."""
    sigma_m = min((one.sigma1_m for one in incident.rounds), default=None)
    where = "" if sigma_m is None else f" at {place(incident.enu_m)} m, sigma {sigma_m:.1f} m,"
    what = f" {count(len(incident.rounds), 'round')}" if incident.rounds else ""
    others = ", ".join(clock_time(one.utc_ns) for one in incident.alternatives)
    when = clock_time(incident.utc_ns) + (f" (or {others}: nobody can tell)" if others else "")
    return (
        f"{rfc3339(incident.utc_ns)[:10]} {when} "
        f"{incident.site}/{incident.cell} {incident.status}{what}{where} "
        f"heard by {count(len(incident.heard_by), 'node')}: {incident.reason} [{incident.id}]"
    )


def announce(revision: Revision) -> None:
    """Print what is new or different, and what is withdrawn."""
    for incident in revision.changed:
        _tell(incident_line(incident))
    for incident in revision.withdrawn:
        _tell(f"withdrawn [{incident.id}]")


class _Stop:
    """Becomes true with SIGTERM; a plain flag, for a handler may interrupt whoever holds a lock."""

    def __init__(self) -> None:
        self._is_asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def __bool__(self) -> bool:
        return self._is_asked

    def _ask(self, *_: Any) -> None:
        self._is_asked = True


def _tell(text: str) -> None:
    print(text, flush=True)  # at once, also where it goes to a journal


def _store(path: Path, known: Registry, signer: Ed25519FileSigner) -> EventStore:
    """The store, a new one of its owner alone. Raises StoreError, also where another serves it."""
    with suppress(OSError):  # what is wrong with the place, the store says itself
        path.touch(0o600)
    return EventStore(path, known.keys, signer)


def _signer(path: Path) -> Ed25519FileSigner:
    return Ed25519FileSigner.load(path) if path.exists() else Ed25519FileSigner.create(path)


def _watch(known: Registry) -> Watch:
    return Watch(source for source, one in known.stations.items() if not one.is_revoked)


def _introduce(signer: Ed25519FileSigner, known: Registry, url: str) -> None:
    nodes = count(len(known.stations), "node")
    _tell(f"locating for {nodes} at {url}; nodes must pin this key (keyid {signer.keyid}):")
    _tell(signer.public_pem().strip())


def _stated_clock(node: str | None, known: Registry) -> StatedClock:
    """What the centre knows of the present. Raises RegistryError for no node of it."""
    source = "" if node is None else ":".join(["urn:earshot", *node.split("/")])
    if source and source not in known.stations:
        raise registry.RegistryError(f"--clock-node {node}: is not in the registry")
    return StatedClock(SystemClock(), kernel_discipline, source)


class _ClockTeller:
    """Tells by whose word the present is known, at the start and whenever that changes."""

    def __init__(self, clock: StatedClock, node: str | None) -> None:
        self._clock, self._node, self._whose = clock, node, ""

    def look(self) -> str:
        """The present in RFC 3339, for receipts."""
        present = self._clock.now()
        if present.whose != self._whose:
            self._whose = present.whose
            _tell(_clock_line(present, self._node))
        return rfc3339(present.utc_ns)


def _clock_line(present: Present, node: str | None) -> str:
    if present.bound_ns is not None:
        whose = "the kernel" if present.whose == KERNEL else present.whose
        return f"the present is known within {present.bound_ns / NS_PER_MS:.1f} ms by {whose}"
    if node:
        return (
            f"nobody vouches for this host's clock: the present is that of {node}, once it speaks"
        )
    return (
        "nobody vouches for this host's clock (see `chronyc tracking`, or --clock-node): the "
        "times of records are not held against the present, and receipts say so"
    )


def _serve(
    service: LocatorService,
    wake: threading.Event,
    for_s: float | None,
    stop: _Stop,
    clock: _ClockTeller,
) -> bool:
    """Step until it is time or it is asked to stop; whether there ever was a broker."""
    end_s = None if for_s is None else time.monotonic() + for_s
    has_listened = False
    while not stop and (end_s is None or time.monotonic() < end_s):
        service.step(time.monotonic_ns(), clock.look)
        if service.is_listening and not has_listened and service.trouble:
            _tell("the broker is there now")
        has_listened = has_listened or service.is_listening
        if not service.is_busy:
            wake.wait(_STEP_S)
        wake.clear()
    service.flush()
    return has_listened
