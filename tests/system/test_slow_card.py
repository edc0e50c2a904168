"""A memory card that takes its time: the daemon goes on hearing, and no shot waits longer than it
must.

The whole daemon listens to a sound card of ALSA's, over a disk whose syncs take as long as they are
told to, and a locator receipts what comes. Each blast's time of conversion is the card's own word.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from agent.adapters.keyfile import load_public_key_file
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Body, Gap, Impulse
from agent.core.records.reading import read_body
from agent.core.units import NS_PER_S
from agent.ports import Message
from simulator.grid.broker import start_broker
from tests.support.centre import Centre, outbox_at
from tests.support.disk import environment, preload
from tests.support.pole import Pole
from tests.support.simmic import DEVICE, Card
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

pytestmark = pytest.mark.system

BLASTS = 48
SOUND_S = 8
AT_SAMPLE = RATE_HZ // 200
ALERT_SLACK_S = 1.0  # block, look-ahead, broker; and a host that does other things as well
RECOVERY_S = 10.0
SETTLE_S = 3.0


@dataclass(frozen=True)
class Heard:
    """A record, and when it came to the broker's other side, by CLOCK_MONOTONIC."""

    came_ns: int
    digest: str
    body: Body


class Reader:
    """Everything the node says, as it comes."""

    def __init__(self, pole: Pole) -> None:
        key = load_public_key_file(pole.public)
        self._keys = {key_id(key): key}
        self._came: list[tuple[int, bytes]] = []
        options = MqttOptions(pole.url, "reader", subscriptions=("earshot/v1/#",))
        self.link = MqttLink(options, self._note)
        self.link.connect()

    def _note(self) -> None:
        now_ns = time.monotonic_ns()
        for event in self.link.poll():
            if isinstance(event, Message) and "/event/" in event.topic:
                self._came.append((now_ns, event.payload))

    def heard(self) -> list[Heard]:
        """The first coming of each record."""
        found: dict[str, Heard] = {}
        for came_ns, raw in list(self._came):
            opened = open_envelope(raw, self._keys)
            body = read_body(opened.payload)
            found.setdefault(body.id, Heard(came_ns, opened.digest, body))
        return list(found.values())

    def impulses(self) -> dict[int, Heard]:
        """By the sample that they name."""
        found = [(one.body.data, one) for one in self.heard()]
        return {data.sample_index: one for data, one in found if isinstance(data, Impulse)}


@dataclass
class Trial:
    """A node on a card that can be slowed down, and who listens to it."""

    pole: Pole
    card: Card
    slow: Path
    reader: Reader
    centre: Centre

    def late_s(self, first: int, last: int) -> list[float]:
        """For each blast between two samples of the card how long after it the alert came; inf if
        never. The node counts from the first sample that it could read."""
        impulses, missed = self.reader.impulses(), self.card.first_read()
        late = []
        for blast in blasts(first, last):
            near = [one for at, one in impulses.items() if abs(at + missed - blast) < AT_SAMPLE]
            came_ns = min((one.came_ns for one in near), default=None)
            age_ns = np.inf if came_ns is None else came_ns - self.card.host_ns(blast)
            late.append(float(age_ns / NS_PER_S))
        return late

    def sample_now(self) -> int:
        return round((time.monotonic_ns() - self.card.host_ns(0)) * RATE_HZ / NS_PER_S)


def blasts(first: int, last: int) -> Iterator[int]:
    """Where they are between two samples: one a second, at no fixed place within a block."""
    for second in range(first // RATE_HZ, last // RATE_HZ + 1):
        at = second * RATE_HZ + 20_000 + 137 * (second % SOUND_S)
        if first <= at < last:
            yield at


def street() -> np.ndarray:
    sound = noise(SOUND_S)
    for at in blasts(0, SOUND_S * RATE_HZ):
        add_blast(sound, at, 0.3)
    return as_int16(sound)


@contextmanager
def running(pole: Pole, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    daemon = pole.start(env)
    try:
        yield daemon
    finally:
        daemon.kill()
        _, told = daemon.communicate()
        print(told[-2000:])


@contextmanager
def listening(directory: Path, memory: Path) -> Iterator[Trial]:
    """All of it, after the node has heard its first blasts on a card that is quick."""
    card = Card(directory, street(), RATE_HZ, ppm=40.0)
    with start_broker("auto") as broker:
        pole = Pole(directory, broker.url)
        source = f"file:{directory / 'street.wav'}"
        config = pole.config.read_text().replace(source, f"portaudio:{DEVICE}")
        pole.config.write_text(f"audio.rate_hz = {RATE_HZ}\n{config}")
        slow = memory / "slow"
        env = environment(preload(memory), directory / "store", slow=slow) | {
            key: value for key, value in card.env.items() if key.startswith(("ALSA", "SIMMIC"))
        }
        reader = Reader(pole)
        with Centre(pole, directory) as centre, closing(reader.link), running(pole, env) as daemon:
            trial = Trial(pole, card, slow, reader, centre)
            centre.wait(lambda: len(reader.impulses()) >= SETTLE_S, "first blasts")
            yield trial
            daemon.kill()  # as a power cut to the process: what was delivered must be there
        faults = centre.store.chain_faults()
        centre.store.close()
    assert faults == []
    assert_all_kept(pole, directory, reader)


def assert_all_kept(pole: Pole, directory: Path, reader: Reader) -> None:
    """Of the killed daemon's store: what was delivered is in it, and no number was used twice."""
    outbox = outbox_at(pole, directory / "store" / "outbox.sqlite")
    head = outbox.head()
    outbox.close()
    heard = sorted(reader.heard(), key=lambda one: one.body.seq)
    assert heard[-1].body.seq <= head.seq
    if heard[-1].body.seq == head.seq:
        assert heard[-1].digest == head.digest
    assert len({(one.body.chain, one.body.seq) for one in heard}) == len(heard)


def trial_of(directory: Path, memory: Path, slow_s: float, spell_s: float) -> None:
    """Syncs of `slow_s` for `spell_s`, and all that is promised of it and of the time after."""
    with listening(directory, memory) as trial:
        begun = trial.sample_now()
        trial.slow.write_text(f"{slow_s * 1000:.0f}")
        time.sleep(spell_s)
        trial.slow.unlink()
        ended = trial.sample_now()
        time.sleep(RECOVERY_S + 4)
        during = trial.late_s(begun, ended)
        after = trial.late_s(ended + round(RECOVERY_S * RATE_HZ), ended + 12 * RATE_HZ)
        bodies = [one.body for one in trial.reader.heard()]
        losses = trial.card.losses()
    p50, p99 = np.percentile(during, [50, 99], method="higher")
    print(
        f"\nsyncs of {slow_s} s for {spell_s:.0f} s: {np.isfinite(during).sum()} of {len(during)} "
        f"blasts heard, alerts p50 {p50:.2f} s, p99 {p99:.2f} s, worst {max(during):.2f} s; "
        f"after {RECOVERY_S:.0f} s: {max(after):.2f} s; losses {losses}"
    )
    assert losses == []
    assert not [body for body in bodies if isinstance(body.data, Gap)]
    assert np.isfinite(during).all()
    assert p99 <= 2 * slow_s + ALERT_SLACK_S
    assert max(after) <= ALERT_SLACK_S


@pytest.mark.parametrize(
    "slow_s",
    [
        pytest.param(0.3, marks=pytest.mark.torture),
        pytest.param(1.0, marks=pytest.mark.torture),
        2.0,
        pytest.param(5.0, marks=pytest.mark.torture),
    ],
)
def test_slow_syncs_cost_no_shot(tmp_path: Path, memory: Path, slow_s: float) -> None:
    """All blasts are heard without a gap, alerts come within two syncs and a second, and soon
    after the card is well again so is everything."""
    trial_of(tmp_path, memory, slow_s, float(BLASTS))


@pytest.mark.torture
def test_a_sync_that_hangs_costs_no_shot(tmp_path: Path, memory: Path) -> None:
    """For a minute nothing is kept; all that was heard meanwhile is kept and delivered then."""
    trial_of(tmp_path, memory, 60.0, 60.0)
