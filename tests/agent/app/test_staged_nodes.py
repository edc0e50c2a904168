"""Staged nodes, each with one thing wrong: check, lights and heartbeat say the same of it.

The node, its health, what its program's other parts report, the state file and the command are the
real ones; sound, box, link and panel are made.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

import agent
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.statefile import read_state
from agent.adapters.trialsettings import TrialSettings
from agent.app import linkhealth
from agent.app.checks.lights import LIGHT_OF, PATTERN_OF
from agent.app.checks.report import Report, look
from agent.app.frontpanel import FrontPanel
from agent.app.keeping import StoreState
from agent.app.linkhealth import Paper
from agent.app.node import NodeSettings
from agent.app.showing import Showing
from agent.app.storehealth import about_store
from agent.core.audio import MicrophoneState
from agent.core.clock.timebase import ClockSettings
from agent.core.records.findings import FAULTS, verdict
from agent.core.trust.certificate_time import Span, TrustedTime
from agent.core.units import NS_PER_S
from agent.ports import Contact
from tests.agent.app.test_frontpanel import Board
from tests.agent.app.test_health import EPOCH_NS, RATE_HZ, WELL, Post, box, street
from tests.support import deafness as made

SOURCE = "urn:earshot:s:c:n1"
DAY_NS = 86_400 * NS_PER_S
SECONDS = 50.0


SETTINGS = NodeSettings(agent.__version__, "ab" * 32, "clean", ClockSettings(latency_ns=0))


RESTS = StoreState(
    waiting=0, lost=0, backlog=0, free_share=0.9, busy_ns=0, slowest_ns=0, advanced_ns=0, trouble=""
)


class Way:
    """An uplink as `linkhealth` and `showing` see it."""

    def __init__(self) -> None:
        self.trouble, self.waiting = "", 0
        self.counters = SimpleNamespace(receipts=1, is_locator_older=False)

    @property
    def is_up(self) -> bool:
        return not self.trouble

    def is_receipted(self, seq: int) -> bool:
        return True


class Stage(Post):
    """A node with all that stands around it on a real one; `text` is added to its settings."""

    def __init__(self, home: Path, text: str = "", **how) -> None:
        home.mkdir(exist_ok=True)
        if not (home / "evidence.pem").exists():
            key = Ed25519FileSigner.create(home / "evidence.pem")
            (home / "locator.pub.pem").write_text(key.public_pem())
        self.config, self.way, self.board = home / "node.toml", Way(), Board()
        self.left_ns = 90 * DAY_NS
        self.config.write_text(
            f"""
            node = {{ site = "s", cell = "c", id = "n1" }}
            store.directory = "{home}"
            runtime.directory = "{home}"
            panel = {{ power_led = 17, tamper = 25 }}
            broker.url = "mqtt://127.0.0.1:9"
            keys.locator_public = ["{home}/locator.pub.pem"]
            keys.evidence = "{home}/evidence.pem"
            {text}
            """
        )
        self.opened = ExitStack()
        self.trial = TrialSettings(self.config)
        self.showing = Showing(
            self.trial,
            self.way,
            lambda: self.way.waiting,
            lambda: TrustedTime(EPOCH_NS, EPOCH_NS, "host"),
            lambda: "0123456789abcdef",
            lambda reason: None,
            self.opened,
        )
        self.showing._is_simulated = False
        self.showing._front = FrontPanel(self.board, lambda: None, lambda: None)
        self.showing.reporters[0]._paper = self.paper
        how.setdefault("settings", SETTINGS)
        self.store = RESTS
        store = [lambda host_ns: about_store(self.store)]
        super().__init__(reporters=[*store, *self.showing.reporters], **how)
        self.host_ns = time.monotonic_ns()
        self.board.events = [Contact(is_open=False)]

    @property
    def paper(self) -> Paper:
        return Paper(Span("node", "CN=s/c/n1", 0, EPOCH_NS + self.left_ns))

    def seen(self) -> tuple[set[str], Report, dict[str, str]]:
        """The faults of heartbeat, check and lights, all of this moment."""
        self.showing.reporters[0]._paper = self.paper
        for _ in range(2):  # what the box told in one step is shown in the next
            self.showing.step(self.node, SOURCE, self.host_ns)
        beat = self.node._beat(self.host_ns)
        told = () if beat.findings is msgspec.UNSET else beat.findings
        return {one.fault for one in told}, look(self.config), self.board.shown


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A healthy node, for all that can be made ill and well again at once."""
    home = tmp_path_factory.mktemp("pole")
    stage = Stage(home)
    stage.hear(street(130.0))
    yield stage
    stage.opened.close()


def agrees(stage: Stage, fault: str) -> None:
    """Heartbeat, check and lights name it, as bad as it is, and nothing else."""
    beat, report, lights = stage.seen()
    about = FAULTS[fault]
    assert beat == {fault}
    rows = [one for one in report.rows if one.fault]
    assert [(one.fault, one.part, one.remedy) for one in rows] == [
        (fault, about.part, about.remedy)
    ]
    assert lights[LIGHT_OF[about.check]] == PATTERN_OF[rows[0].status]
    others = {pattern for light, pattern in lights.items() if light != LIGHT_OF[about.check]}
    assert not others & {"slow", "fast"}


def test_a_healthy_node_is_healthy_or_says_why_not(warm: Stage) -> None:
    """Every light is on; what nobody knows is unknown with the reason, never healthy."""
    beat, report, lights = warm.seen()
    assert beat == set()
    assert verdict(warm.node.state(warm.host_ns, SOURCE, "", 1).findings) == "healthy"
    assert set(lights.values()) == {"on"}
    state = read_state(warm.config.parent, time.monotonic_ns())
    assert state.health == "healthy"
    assert report.health == "healthy"
    assert all(one.value for one in report.rows if one.status == "unknown")


def way(**changed: object) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        for name, value in changed.items():
            holder = stage.way if hasattr(stage.way, name) else stage.way.counters
            setattr(holder, name, value)

    return act


def left(days: int) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.left_ns = days * DAY_NS

    return act


def no_receipts(stage: Stage) -> None:
    stage.way.waiting = 5
    stage.seen()
    stage.hear(street(linkhealth.RECEIPT_NS / NS_PER_S))


def microphone(condition: str) -> Callable[[Stage], None]:
    return lambda stage: stage.node.step(MicrophoneState(stage.host_ns, condition, "usb: why"))


def store(**changed: object) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.store = replace(RESTS, **changed)

    return act


def opened(stage: Stage) -> None:
    stage.board.events = [Contact(is_open=True)]


AT_ONCE: dict[str, Callable[[Stage], object]] = {
    "hot": box(soc_temperature_c=78.0),
    "too-hot": box(soc_temperature_c=85.0),
    "under-voltage": box(throttled=0x50005),
    "was-under-voltage": box(throttled=0x10000),
    "throttled": box(throttled=0x4),
    "disk-low": box(disk_free_mb=900),
    "disk-full": box(disk_free_mb=3),
    "disk-read-only": box(disk_is_read_only=True),
    "memory-low": box(memory_free_mb=20),
    "card-worn": box(card_used_pct=90),
    "microphone-absent": microphone("absent"),
    "microphone-busy": microphone("busy"),
    "microphone-ambiguous": microphone("ambiguous"),
    "microphone-refused": microphone("refused"),
    "microphone-unplugged": microphone("unplugged"),
    "microphone-hung": microphone("stuck"),
    "sound-system-broken": microphone("broken"),
    "broker-away": way(trouble="connection refused by 127.0.0.1:9: is the broker running?"),
    "backlog": way(waiting=linkhealth.MANY_WAIT),
    "older-locator": way(is_locator_older=True),
    "certificate-ends": left(10),
    "certificate-ended": left(-1),
    "opened": opened,
    "disk-failing": store(trouble="disk I/O error"),
    "disk-slow": store(slowest_ns=9 * NS_PER_S),
    "records-lost": store(lost=3),
    "outbox-full": store(free_share=0.0),
    "no-receipts": no_receipts,
}


@pytest.mark.parametrize("fault", AT_ONCE)
def test_what_is_wrong_is_told_alike_everywhere(warm: Stage, fault: str) -> None:
    """Beside the daemon: the same fault, part and remedy; and well again all is as before."""
    AT_ONCE[fault](warm)
    agrees(warm, fault)
    warm.box.vitals, warm.left_ns, warm.store = WELL, 90 * DAY_NS, RESTS
    way(trouble="", waiting=0, is_locator_older=False)(warm)
    microphone("hearing")(warm)
    warm.board.events = [Contact(is_open=False)]
    assert warm.seen()[0] == set()


SOUNDS = {
    "digital-silence": made.constant(SECONDS, RATE_HZ, 0.0),
    "stuck-value": made.constant(SECONDS, RATE_HZ, 0.1),
    "stuck-at-rail": made.constant(SECONDS, RATE_HZ, -1.0),
    "hum-only": made.hum(SECONDS, RATE_HZ),
    "no-noise-floor": made.electronics(SECONDS, RATE_HZ, -86.0),
    "clipping": 60.0 * made.street(SECONDS, RATE_HZ, -20.0),
    "wind": made.storm(SECONDS, RATE_HZ),
}


@pytest.mark.parametrize("fault", SOUNDS)
def test_what_the_sound_says_is_told_alike_everywhere(tmp_path: Path, fault: str) -> None:
    """Each broken microphone, from its sound alone."""
    stage = Stage(tmp_path).hear(SOUNDS[fault])
    agrees(stage, fault)
    stage.opened.close()


def test_a_score_that_nothing_reaches_is_told_alike_everywhere(tmp_path: Path) -> None:
    """The self-test asks with the settings in effect: a node that publishes nothing is deaf."""
    stage = Stage(tmp_path, settings=replace(SETTINGS, least_score=1.0)).hear(street(SECONDS))
    agrees(stage, "model-scores-nothing")
    stage.opened.close()


def test_no_time_is_told_alike_everywhere(tmp_path: Path) -> None:
    """After two minutes without a mark."""
    stage = Stage(tmp_path)
    stage.has_time = False
    stage.hear(street(125.0))
    agrees(stage, "no-time")
    stage.opened.close()


def test_settings_that_gave_way_are_told_alike_everywhere(tmp_path: Path) -> None:
    """The text that worked last is in effect: heartbeat, check and the power light say so."""
    Stage(tmp_path).trial.settle()
    good = (tmp_path / "node.toml").read_text()
    stage = Stage(tmp_path)
    (tmp_path / "node.toml").write_text(good + "log.levle = 'info'\n")
    stage.trial = TrialSettings(tmp_path / "node.toml")
    stage.showing._trial = stage.trial
    stage.hear(street(SECONDS))
    beat, report, lights = stage.seen()
    assert beat == {"settings-fallback"}
    assert lights["power"] == "slow"
    told = {one.fault for one in report.rows if one.check == "settings"}
    assert told == {"settings-fallback", "settings-faulty"}
    stage.opened.close()


def test_the_table_is_long_enough() -> None:
    """At least thirty nodes."""
    assert len(AT_ONCE) + len(SOUNDS) + 3 >= 30
