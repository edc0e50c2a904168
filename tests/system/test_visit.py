"""A visit at the pole, all parts real: PortAudio on an ALSA card, a broker, a locator, the daemon.

`earshot check` beside the daemon and without it, a clap's way to the receipt and back, and what
becomes of settings that are wrong, whoever made them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from agent.core.records.remote_records import ConfigChange
from agent.core.records.visit_records import Clap
from tests.support.pole import earshot
from tests.support.visited import SILENT, Visited

pytestmark = pytest.mark.system

LONG = pytest.param("agent.cli.main", marks=pytest.mark.torture, id="as it is")


@pytest.fixture(scope="module")
def pole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visited]:
    """A node that hears blasts and is receipted, for those who do it no harm."""
    made = Visited(tmp_path_factory.mktemp("pole"))
    made.locate()
    made.run()
    made.until(lambda: made.rows()["receipts"]["status"] == "healthy", "a receipt")
    yield made
    made.close()


@pytest.fixture
def visited(tmp_path: Path) -> Iterator[Callable[..., Visited]]:
    """Makes a node of the test's own, which is stopped whatever becomes of the test."""
    with ExitStack() as opened:

        def make(**how: object) -> Visited:
            return opened.enter_context(closing(Visited(tmp_path, **how)))

        yield make


def test_a_clap_comes_back_receipted(pole: Visited) -> None:
    """Detection, level, time and receipt, in that order; and the clap is a record."""
    told = pole.check("--clap")
    lines = [line.split()[0] for line in told.stdout.splitlines()[1:]]
    assert (told.returncode, lines) == (0, ["heard", "level", "time", "receipt"]), told.stdout


def test_without_a_locator_a_clap_says_so(pole: Visited) -> None:
    """All but the receipt come, and the word for what is missing is plain."""
    pole.stop("locator")
    told = pole.check("--clap")
    assert told.returncode == 1
    assert "NO RECEIPT: the locator has not answered" in told.stdout
    assert "\nheard " in told.stdout
    claps = pole.bodies(Clap)
    assert claps
    assert all(one.data.peak_dbfs < 0 for one in claps)
    pole.locate()


def test_beside_the_daemon_nothing_is_disturbed(pole: Visited) -> None:
    """The node is the same process after many looks, and lost no sound by them."""
    before = pole.rows()
    for _ in range(5):
        pole.check()
    after = pole.rows()
    assert after["agent"] == before["agent"]
    assert pole.is_running()
    assert after["microphone"]["status"] != "critical"


def test_devices_are_listed_as_settings_want_them(pole: Visited, monkeypatch) -> None:
    """Both cards by the names that audio.source takes, with their rates."""
    monkeypatch.setenv("ALSA_CONFIG_PATH", pole.card.env["ALSA_CONFIG_PATH"])
    told = earshot("devices").stdout
    assert '"portaudio:simmic"' in told
    assert f'"portaudio:{SILENT}"' in told
    assert "48000" in told


def test_in_a_silent_street_a_clap_is_not_heard(visited: Callable[..., Visited]) -> None:
    """No sound stands out: said after half a minute, with what to do next."""
    quiet = visited(has_blasts=False)
    quiet.run()
    quiet.until(lambda: quiet.rows()["hearing"]["status"] == "healthy", "the self-test")
    told = quiet.check("--clap")
    assert told.returncode == 1
    assert "NOT HEARD" in told.stdout


WRONG = {
    "a silent device": ([f"audio.source=portaudio:{SILENT}"], "not heard: Every sample is zero"),
    "a rate that it has not": (["audio.rate_hz=44100"], "not heard"),
    "a dead broker": (["broker.url=mqtt://127.0.0.1:9"], "not receipted"),
    "a score that nothing reaches": (["hearing.least_score=1"], "not heard: The model passes no"),
}


@pytest.mark.parametrize("program", ["tests.support.hasty", LONG])
def test_settings_from_afar_that_are_wrong_are_taken_back(
    visited: Callable[..., Visited], program: str
) -> None:
    """Each within the trial's patience, with the reason in the chain, and the node works again as
    before; what is right is kept.
    """
    node = visited(program=program)
    node.locate()
    node.run()
    patience_s = 60.0 if program == "tests.support.hasty" else 180.0
    node.until(lambda: node.order("ping")[0] == 0, "a node that obeys")
    for words, _ in WRONG.values():
        before = node.log().count("listens to")
        assert node.order("set-config", *words)[0] == 0
        node.until(
            lambda before=before: node.log().count("listens to") >= before + 2,
            f"{words} to be taken back",
            patience_s,
        )
        node.until(lambda: node.order("ping")[0] == 0, "a node that obeys")
    assert node.order("set-config", "log.level=debug")[0] == 0
    node.until(node.kept, "settings that are kept")
    node.stop("node")
    node.stop("locator")
    told = [(one.data.outcome, one.data.reason) for one in node.bodies(ConfigChange)]
    reverted = [reason for outcome, reason in told if outcome == "reverted"]
    assert [outcome for outcome, _ in told] == ["trying", "reverted"] * len(WRONG) + [
        "trying",
        "kept",
    ]
    for reason, (_, wanted) in zip(reverted, WRONG.values(), strict=True):
        assert reason.startswith(wanted)


def test_a_typo_in_the_file_leaves_the_node_listening(visited: Callable[..., Visited]) -> None:
    """Once a run has proved the file, a typo in it does not keep the next one from listening: it
    has the settings before, and says so in log, check and chain; mended, it goes on with it.
    """
    node = visited()
    node.locate()
    node.run()
    node.until(lambda: (node.home / "store/last-good-settings.json").exists(), "a proved file")
    node.stop("node")
    good = node.config.read_text()
    node.config.write_text(good.replace("time.source", "time.sauce"))
    node.run()
    node.until(lambda: node.log().count("listens to") == 2, "a node that listens")
    node.until(lambda: node.rows()["last impulse"]["value"].endswith("impulsive"), "a blast")
    rows = node.rows()
    assert rows["settings"]["fault"] in ("settings-fallback", "settings-faulty")
    assert "time.sauce is unknown: did you mean 'source'?" in node.log()
    node.stop("node")
    node.config.write_text(good)
    node.run()
    node.until(lambda: node.rows()["settings"]["status"] == "healthy", "a mended file")
    node.stop("node")
    node.stop("locator")
    (told,) = (one.data for one in node.bodies(ConfigChange))
    assert told.outcome == "reverted"
    assert "time.sauce" in told.reason


def test_without_the_daemon_the_microphone_is_tried(visited: Callable[..., Visited]) -> None:
    """Before a first start: the sound of some seconds, the broker, the host; a silent card is told
    by its name of the catalogue.
    """
    node = visited()
    env = {"ALSA_CONFIG_PATH": node.card.env["ALSA_CONFIG_PATH"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALSA_CONFIG_PATH", env["ALSA_CONFIG_PATH"])
        rows = node.rows()
        assert rows["microphone"]["status"] == rows["hearing"]["status"] == "healthy", rows
        assert (rows["broker"]["status"], rows["agent"]["fault"]) == ("healthy", "agent-stopped")
        node.config.write_text(node.config.read_text().replace(":simmic", f":{SILENT}"))
        assert node.rows()["microphone"]["fault"] == "digital-silence"
        node.config.write_text(node.config.read_text().replace(f":{SILENT}", ":nowhere"))
        assert node.rows()["microphone"]["fault"] == "microphone-absent"
