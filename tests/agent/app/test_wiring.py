"""The composition root: parts open in their order and close in reverse, whichever of them fails."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from agent.adapters.trialsettings import TrialSettings
from agent.app import clockwork, daemon, soundsource, wiring
from agent.core.hearing.classification import shipped_model
from agent.errors import EarshotError
from tests.support.pole import Pole

SENSES = ["FileMicrophone", "SleepWatch", "SysfsPps", "SerialReceiver"]
PARTS = ["evidence", *SENSES, "SqliteOutbox", "MqttLink", "ChronyFeed"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('time.source = "pps"\ntime.pps_device = "{home}/pps7"', "pps7: no pulse per second"),
        ('time.source = "pps"\ntime.pps_device = "{home}"', "assert: no pulse per second"),
    ],
)
def test_a_node_without_its_pulse_hears_all_the_same(tmp_path: Path, lines: str, told: str) -> None:
    """A pulse source that is not there, at whatever boot, is one line in the journal."""
    pole = Pole(tmp_path, "mqtt://127.0.0.1:1")
    text = pole.config.read_text().replace('time.source = "sim"', lines.format(home=tmp_path))
    pole.config.write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "agent.cli.main", "run", "--config", str(pole.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert [told in line for line in ended.stderr.splitlines()].count(True) == 1
    assert "end of sound" in ended.stderr
    assert (tmp_path / "store").exists()


class Watched:
    """Every part of a node, the real ones, and in what order they opened and closed.

    The part `broken` cannot be opened; the part `stuck` closes with an error. What a test leaves
    open is closed after it.
    """

    left_open: ClassVar[list[Callable[[], None]]] = []

    def __init__(self, patch: pytest.MonkeyPatch, broken: str = "", stuck: str = "") -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self._broken, self._stuck = broken, stuck
        self._evidence_key = wiring.evidence_key
        patch.setattr(wiring, "evidence_key", self._evidence)
        for name in [*PARTS[1:], "Node"]:
            rooms = (wiring, clockwork, soundsource)
            home = next(room for room in rooms if hasattr(room, name))
            patch.setattr(home, name, self._watched(name, getattr(home, name)))

    def _watched(self, name: str, real: type) -> type:
        watch = self

        class Part(real):
            def __init__(self, *words: object, **more: object) -> None:
                if name == watch._broken:
                    raise EarshotError(f"{name} cannot be opened")
                super().__init__(*words, **more)
                watch.opened.append(name)
                watch.left_open.append(getattr(super(), "close", lambda: None))

            def close(self, *words: object, **more: object) -> None:
                super().close(*words, **more)
                watch.close(name)

        return Part

    @contextmanager
    def _evidence(self, where: str) -> Iterator[object]:
        with self._evidence_key(where) as key:
            self.opened.append("evidence")
            try:
                yield key
            finally:
                self.close("evidence")

    def close(self, name: str) -> None:
        self.closed.append(name)
        if name == self._stuck:
            raise EarshotError(f"{name} cannot be closed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Pole:
    """A node with key and sound, for all tests; each has a store of its own."""
    return Pole(tmp_path_factory.mktemp("pole"), "mqtt://127.0.0.1:9", seconds=0.2)


@pytest.fixture
def trial(tmp_path: Path, built: Pole) -> Iterator[TrialSettings]:
    """Settings that need every kind of part: a pulse, a receiver on a line, chrony, no broker."""
    line, far_end = os.openpty()
    (tmp_path / "assert").write_text("1795344670.000320390#2\n")
    time = f"""
        [time]
        source = "pps"
        pps_device = "{tmp_path}"
        receiver = "{os.ttyname(far_end)}"
        chrony_socket = "{tmp_path / "chrony.sock"}"
        [keys]"""
    text = built.config.read_text().replace('time.source = "sim"', "").replace("[keys]", time)
    config = tmp_path / "node.toml"
    config.write_text(text.replace(str(built.home / "store"), str(tmp_path / "store")))
    yield TrialSettings(config)
    while Watched.left_open:
        Watched.left_open.pop()()  # a second time does no harm
    os.close(line)
    os.close(far_end)


@pytest.mark.parametrize("broken", [*PARTS[1:], "Node"])
def test_a_part_that_fails_closes_those_before_it(
    trial: TrialSettings, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """In reverse, each once; no descriptor and no thread stays, and the store is free
    and not called unclean."""
    before = held()
    watched = Watched(monkeypatch, broken)
    with pytest.raises(EarshotError, match=f"{broken} cannot be opened") as raised:
        wiring.assemble(trial).__enter__()
    left = held()
    assert raised.value.__traceback__  # whoever holds the error holds its frames, and their parts
    assert watched.opened == [*PARTS, "Node"][: [*PARTS, "Node"].index(broken)]
    assert watched.closed == watched.opened[::-1]
    assert left == before
    assert is_running(trial) is (False if "SqliteOutbox" in watched.opened else None)


def test_a_start_that_fails_does_not_hide_a_crash(
    trial: TrialSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run before was killed, the next one cannot start: the one after still says 'unclean'."""
    with wiring.assemble(trial):
        pass  # it never runs, and so has no last word
    assert is_running(trial)
    Watched(monkeypatch, "Node")
    with pytest.raises(EarshotError, match="Node cannot be opened"):
        wiring.assemble(trial).__enter__()
    assert is_running(trial)


@pytest.mark.parametrize("stuck", PARTS)
def test_a_part_that_will_not_close_keeps_no_other_open(
    trial: TrialSettings, monkeypatch: pytest.MonkeyPatch, stuck: str
) -> None:
    """After a whole run every part is closed, first those that sense, then what they feed; the
    trouble is told."""
    monkeypatch.setattr(daemon, "DRAIN_NS", 0)
    watched = Watched(monkeypatch, stuck=stuck)
    with pytest.raises(EarshotError, match=f"{stuck} cannot be closed"):
        run(trial)
    others = [name for name in PARTS if name not in SENSES]
    assert watched.closed == [*SENSES[::-1], *others[::-1]]


def test_what_never_ran_is_closed(trial: TrialSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves before the daemon runs leaves nothing open."""
    watched = Watched(monkeypatch)
    with wiring.assemble(trial):
        pass
    assert sorted(watched.closed) == sorted(PARTS)


def held() -> tuple[set[Path], set[threading.Thread]]:
    """The descriptors and threads of this process."""
    return set(Path("/proc/self/fd").iterdir()), set(threading.enumerate())


def run(trial: TrialSettings) -> str:
    with wiring.assemble(trial) as assembled:
        return assembled.run()


def is_running(trial: TrialSettings) -> bool | None:
    """Whether the store says that a run uses it, or has died; None where there is no store."""
    path = Path(trial.settings.store.directory) / "outbox.sqlite"
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as db:
        return bool(db.execute("SELECT running FROM node").fetchone()[0])


def test_the_model_is_in_memory_before_the_first_sound(trial: TrialSettings) -> None:
    """No verdict waits for a card that takes its time."""
    shipped_model.cache_clear()
    with wiring.assemble(trial):
        assert shipped_model.cache_info().currsize == 1
