"""The composition root: settings in, a daemon ready to run out.

The only place that knows which adapter stands behind which port. Parts start in the order
written here and stop in reverse: all of them at the end, those that were opened where a later one
fails, and the others where one will not close.
"""

import random
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import agent
from agent.adapters.chrony import ChronyFeed
from agent.adapters.crystalfile import CrystalFile
from agent.adapters.host import (
    Discipline,
    SystemClock,
    kernel_discipline,
)
from agent.adapters.keyfile import load_public_key_file
from agent.adapters.knowntime import KnownTime
from agent.adapters.levelfile import LevelFile
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.obeyed import ObeyedFile
from agent.adapters.outbox import SqliteOutbox
from agent.adapters.ownclock import OwnClock
from agent.adapters.servicemanager import ServiceManager
from agent.adapters.surveyfile import SurveyFile
from agent.adapters.trialsettings import TrialSettings
from agent.adapters.vitals import SystemVitals
from agent.app.clockwork import clock_settings, time_references
from agent.app.commanddesk import CommandDesk
from agent.app.daemon import Daemon
from agent.app.evidence import EvidenceKey, evidence_key
from agent.app.findinglog import FindingLog
from agent.app.keeping import Keeping
from agent.app.node import Node, NodeSettings
from agent.app.presence import LastWill, seal_status
from agent.app.progress import Progress
from agent.app.proof import receipted
from agent.app.showing import Showing
from agent.app.soundsource import sound_source
from agent.app.storehealth import about_store
from agent.app.trustedclock import TrustedClock
from agent.app.uplink import Uplink
from agent.app.witness import Witness
from agent.core.hearing.classification import MODEL_ERRORS, shipped_model
from agent.core.hearing.level_history import LevelHistory
from agent.core.records import Sealer
from agent.core.records.envelope import key_id
from agent.core.records.kinds import Identity
from agent.core.records.succession import change_to
from agent.core.trust import CommandJudge
from agent.core.units import NS_PER_S
from agent.errors import StoreError
from agent.ports import HostClock
from agent.sections import BrokerSection
from agent.settings import AudioSection, StoreSection, TimeSection

SIM_SIGMA_NS = 1000
BYTES_PER_MB = 1024 * 1024
SECOND_LOST_NS = NS_PER_S
OPENING_S = 2.0  # a card that takes longer does not hold up hearing


class _Closes(Protocol):
    def close(self) -> None: ...


_Part = TypeVar("_Part", bound=_Closes)


@contextmanager
def assemble(trial: TrialSettings) -> Iterator[Daemon]:
    """The daemon of one run; leaving the context frees all it holds. Raises EarshotError."""
    with ExitStack() as opened:
        evidence = opened.enter_context(evidence_key(trial.settings.keys.evidence))
        yield _assemble(trial, evidence, opened)


def _assemble(trial: TrialSettings, evidence: EvidenceKey, opened: ExitStack) -> Daemon:
    clock, settings = SystemClock(), trial.settings
    with suppress(*MODEL_ERRORS):  # in memory before the card may take its time
        shipped_model()
    locators, operators = _keys(settings.keys.locator_public), _keys(settings.keys.operator_public)
    identity = Identity(
        site=settings.node.site,
        cell=settings.node.cell,
        node=settings.node.id,
        keyid=evidence.signer.keyid,
        boot=secrets.token_hex(16),
    )
    sealer = Sealer(identity, evidence.signer, evidence)
    will, wake = LastWill(sealer), threading.Event()
    senses = opened.enter_context(ExitStack())
    source = _kept(senses, sound_source(settings.audio, clock))
    own_clock = OwnClock(Path(settings.store.directory) / "clock-of-boot", clock)
    references = [_kept(senses, one) for one in time_references(settings.time, clock, own_clock)]
    unused = opened.enter_context(ExitStack())
    outbox = _outbox(settings.store, sealer)
    unused.callback(lambda: outbox.close(clean=outbox.previous_run != "unclean"))
    keeping = Keeping(outbox, clock.monotonic_ns, lambda receipt: witness.hear(receipt))
    known = KnownTime(Path(settings.store.directory) / "known-utc")
    confirmed = KnownTime(Path(settings.store.directory) / "confirmed-utc")
    witness = Witness(outbox.found, known.utc_ns)
    crystal = CrystalFile(Path(settings.store.directory) / "crystal")
    surveyed = SurveyFile(Path(settings.store.directory) / "survey.json")
    levels = LevelFile(Path(settings.store.directory) / "levels", device_of(settings.audio))
    trusted = _trusted_clock(settings.time, clock, known.utc_ns)
    options = _mqtt_options(settings.broker, identity, will, trusted, bool(operators))
    link = _kept(opened, MqttLink(options, wakeup=wake.set))
    uplink = Uplink(
        identity,
        keeping,
        link,
        locators,
        partial(seal_status, sealer, True),
        random.Random(),  # noqa: S311 - jitter, not a secret
        on_command=lambda verb, payload: daemon.order(verb, payload),
        keyid=lambda: sealer.identity.keyid,
        max_kbit_s=settings.link.max_kbit_s,
    )
    obeyed = ObeyedFile(Path(settings.store.directory) / "obeyed")
    desk = CommandDesk(
        CommandJudge(identity.source, operators, identity.boot, obeyed.ids, obeyed.keep),
        sealer,
        trial,
        hand_over=lambda: change_to(evidence.heir(), identity.source, sealer.identity.keyid),
        post=uplink.reply,
        restart=lambda reason: daemon.request_stop(reason),
        when_kept=keeping.when_kept,
        proof=lambda host_ns: node.proof(
            host_ns, receipted(uplink.counters.delivered, uplink.trouble)
        ),
        witness=witness,
    )
    showing = Showing(
        trial,
        uplink,
        keeping.backlog,
        trusted.now,
        lambda: sealer.identity.keyid,
        lambda reason: daemon.request_stop(reason),
        opened,
    )
    chrony_socket = settings.time.chrony_socket
    chrony = _kept(opened, ChronyFeed(Path(chrony_socket), clock)) if chrony_socket else None
    node = Node(
        NodeSettings(
            software=agent.__version__,
            settings_sha256=settings.digest(),
            previous_run=outbox.previous_run,
            clock=clock_settings(settings, confirmed.utc_ns, crystal.slope),
            least_score=settings.hearing.least_score,
            file_sha256=trial.file_sha256,
            survey=surveyed.memory,
        ),
        source.format,
        keeping,
        SystemVitals(Path(settings.store.directory)),
        chrony.offer if chrony else lambda host_ns, utc_ns: None,
        desk,
        history=LevelHistory(levels.levels),
        backlog=outbox.backlog,
        reporters=[lambda host_ns: about_store(keeping.state(host_ns)), *showing.reporters],
        when_kept=lambda act: keeping.when_kept(lambda: act(outbox.head().seq)),
    )

    finding_log = FindingLog()

    def show(host_ns: int) -> None:
        state = showing.step(node, identity.source, host_ns)
        finding_log.step(state.findings)
        keeping.errand("levels", lambda: levels.keep(host_ns))
        keeping.watch(host_ns)
        if survey := surveyed.due(host_ns, node.survey.memory):
            keeping.errand("survey", lambda: surveyed.write(survey))
        trusted.learn(state)
        clock_now, utc_ns = state.clock, state.utc_ns
        if clock_now.state == "locked" and utc_ns is not None:
            slope = clock_now.ppm_per_c, clock_now.ppm_per_c_sigma
            keeping.errand("known", lambda: known.keep(utc_ns))
            if clock_now.confirmed:
                sigma_ns = clock_now.sigma_ns or SECOND_LOST_NS  # without sound nobody tells it
                keeping.errand("confirmed", lambda: confirmed.keep(utc_ns))
                keeping.errand("own", lambda: own_clock.keep(host_ns, utc_ns, sigma_ns))
            keeping.errand("crystal", lambda: crystal.keep(host_ns, *slope))

    progress = Progress()
    manager = _kept(opened, ServiceManager())
    daemon = Daemon(source, references, clock, node, uplink, wake, show, progress, keeping, manager)
    senses.pop_all()  # the daemon's from now on, which closes them on the thread that reads
    unused.pop_all()
    unused.callback(lambda: outbox.close(clean=daemon.stop_recorded))
    opened.callback(daemon.close)
    # A clean good-bye silences the last will, so its words are said here.
    opened.callback(lambda: link.publish(*will(), retain=True))
    return daemon


def _kept(opened: ExitStack, part: _Part) -> _Part:
    """`part`, which closes when `opened` ends."""
    opened.callback(part.close)
    return part


def device_of(audio: AudioSection) -> str:
    """What sound is heard with: of another one, levels of earlier days say nothing."""
    return f"{audio.source} {audio.rate_hz} Hz"


def _outbox(store: StoreSection, sealer: Sealer) -> SqliteOutbox:
    directory = Path(store.directory)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{directory}: cannot be made: {error.strerror}") from None
    return SqliteOutbox(
        directory / "outbox.sqlite",
        sealer,
        partial(secrets.token_hex, 16),
        max_bytes=store.max_mb * BYTES_PER_MB,
        patience_s=OPENING_S,
    )


def _keys(names: tuple[str, ...]) -> dict[str, Ed25519PublicKey]:
    """Public keys by key id. Raises KeyFileError."""
    return {key_id(key): key for key in (load_public_key_file(Path(name)) for name in names)}


def _mqtt_options(
    broker: BrokerSection,
    identity: Identity,
    will: LastWill,
    trusted: TrustedClock,
    is_commanded: bool,
) -> MqttOptions:
    return MqttOptions(
        url=broker.url,
        client_id=identity.source,  # names may hold dashes: joined by them they are not unique
        protocol=broker.protocol,
        ca=_path(broker.ca),
        cert=_path(broker.certificate),
        key=_path(broker.certificate_key),
        subscriptions=_subscriptions(identity, is_commanded=is_commanded),
        will=will,
        trusted_utc=trusted.now,
    )


def _subscriptions(identity: Identity, *, is_commanded: bool) -> tuple[str, ...]:
    receipts = (f"{identity.topic}/receipt",)
    return (*receipts, f"{identity.topic}/command/+") if is_commanded else receipts


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None


def _trusted_clock(
    time: TimeSection, clock: HostClock, last_known_utc_ns: int | None
) -> TrustedClock:
    """By what certificates are judged. In "sim" that is the host's clock, right by definition."""
    if time.source == "sim":
        return TrustedClock(clock, 0, None, lambda: Discipline(True, 0, "unknown"))
    released_utc_ns = agent.RELEASED_UTC_S * NS_PER_S
    return TrustedClock(clock, released_utc_ns, last_known_utc_ns, kernel_discipline)
