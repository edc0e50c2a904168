"""Real PortAudio on a sound card of ALSA's: whatever the process suffers, no sample is misdated.

The listening process is stopped and continued, with shallow and deep buffers, also on a busy host.
The card tells what was truly lost, and when each sample was truly converted.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.listener import RATE_HZ, UTC_OF_HOST_NS
from tests.support.simmic import DEVICE, Card
from tests.support.sound import add_blast, as_int16, noise

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
BLOCK = 1024
PERIOD_S = 2.0
BLAST = 48_000.3
PPM = 40.0
SETTLE_MARKS = 12
RECOVERY_S = 60

Told = dict[str, Any]


class Ears:
    """A process that listens to `card`; `told` is what it has said so far."""

    def __init__(self, card: Card, buffer_ms: int, directory: Path) -> None:
        self._said, self._troubles = directory / "said", directory / "troubles"
        command = [sys.executable, "-m", "tests.support.listener", DEVICE, str(buffer_ms)]
        with self._said.open("w") as said, self._troubles.open("w") as troubles:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=card.env, stdout=said, stderr=troubles
            )

    @property
    def logged(self) -> str:
        return self._troubles.read_text()

    @property
    def told(self) -> list[Told]:
        whole, _, _ = self._said.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def wait(self, wanted: Callable[[list[Told]], bool], at_most_s: float = 90) -> None:
        """Until what was told is as wanted, or the time is over."""
        end_s = time.monotonic() + at_most_s
        while time.monotonic() < end_s and not wanted(self.told):
            if self.process.poll() is not None:
                if "install libportaudio2" in self.logged:
                    pytest.skip("libportaudio2 is not installed")
                pytest.fail(self.logged)
            time.sleep(0.25)

    def stall(self, seconds: float) -> None:
        """Stop the process for a while."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def listening(card: Card, buffer_ms: int, directory: Path) -> Iterator[Ears]:
    ears = Ears(card, buffer_ms, directory)
    try:
        yield ears
    finally:
        ears.process.kill()
        ears.process.wait()


@contextmanager
def busy_host(is_busy: bool) -> Iterator[None]:
    """With two processes that never rest, if it is to be busy."""
    endless = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(endless) for _ in range(2 * is_busy)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def street() -> np.ndarray:
    """Noise with one blast in each `PERIOD_S`."""
    sound = noise(PERIOD_S)
    add_blast(sound, BLAST, 0.3)
    return as_int16(sound)


def seconds(told: list[Told]) -> list[Told]:
    """The seconds in which UTC was known."""
    return [one for one in told if "second" in one and one["sigma_ns"] is not None]


def onsets(told: list[Told]) -> list[Told]:
    return [one for one in told if "onset" in one and one["utc_ns"] is not None]


def has_recovered(told: list[Told]) -> bool:
    """Whether sigma is back to twice what it was before the last gap, if there was one."""
    gaps = [index for index, one in enumerate(told) if "gap" in one]
    if not gaps:
        return True
    before, after = seconds(told[: gaps[-1]]), seconds(told[gaps[-1] :])
    return any(one["sigma_ns"] <= 2 * before[-1]["sigma_ns"] for one in after)


def suffer(ears: Ears, stalls: list[tuple[float, bool]]) -> list[int]:
    """Let it settle, then stall it; how many lines it had said at the end of each stall."""
    ears.wait(lambda told: len(seconds(told)) >= SETTLE_MARKS)
    stalled_at = []
    for stall_s, is_busy in stalls:
        with busy_host(is_busy):
            time.sleep(1)
            ears.stall(stall_s)
            count = len(ears.told)
            stalled_at.append(count)
            ears.wait(lambda told, count=count: bool(onsets(told[count:])))
            ears.wait(has_recovered, RECOVERY_S)
    return stalled_at


def assert_losses_are_told(card: Card, told: list[Told]) -> None:
    """Every true loss lies in a gap of its size, to one block, and no gap without a loss."""
    gaps = [one for one in told if "gap" in one]
    losses, start = card.losses(), card.first_read()
    for gap in gaps:
        begin, end = start + gap["gap"], start + gap["gap"] + gap["lost"]
        true = [loss for loss in losses if begin - BLOCK <= loss.first <= end]
        assert true, f"nothing was lost: {gap}"
        assert abs(gap["lost"] - sum(loss.lost for loss in true)) <= BLOCK, (gap, true)
        losses = [loss for loss in losses if loss not in true]
    assert not losses, "never told"


def assert_stamps_are_true(card: Card, told: list[Told], stalled_at: list[int]) -> None:
    """The first blast after each stall within 3 sigma of the truth, and no onset beyond 10."""
    period, start = round(PERIOD_S * RATE_HZ), card.first_read()
    is_first_after = dict.fromkeys(stalled_at, True)
    for at, one in enumerate(told):
        if one not in onsets([one]):
            continue
        true = BLAST + period * round((one["onset"] + start - BLAST) / period)
        error_ns = one["utc_ns"] - UTC_OF_HOST_NS - card.host_ns(true)
        sigmas = abs(error_ns) / hypot(one["sigma_ns"], one["onset_sigma_ns"])
        assert sigmas < 10, (error_ns, one)
        for count in stalled_at:
            if at >= count and is_first_after[count]:
                is_first_after[count] = False
                assert sigmas <= 3, (error_ns, one)
    assert not any(is_first_after.values())


def assert_recovered(told: list[Told]) -> None:
    """After each gap sigma is twice what it was, or less, within a minute of sound."""
    for at, gap in enumerate(told):
        if "gap" in gap:
            before_ns = seconds(told[:at])[-1]["sigma_ns"]
            later = seconds(told[at:])
            good = next(one for one in later if one["sigma_ns"] <= 2 * before_ns)
            assert good["second"] - gap["gap"] - gap["lost"] <= RECOVERY_S * RATE_HZ


def trial(directory: Path, buffer_ms: int, stalls: list[tuple[float, bool]]) -> int:
    """Everything that is promised, over some stalls; how many of them outlasted the buffer."""
    card = Card(directory, street(), RATE_HZ, PPM)
    with listening(card, buffer_ms, directory) as ears:
        stalled_at = suffer(ears, stalls)
        told = ears.told
    assert_losses_are_told(card, told)
    assert_stamps_are_true(card, told, stalled_at)
    assert_recovered(told)
    return sum(stall_s > card.buffer_s() for stall_s, _ in stalls)


@pytest.mark.parametrize("buffer_ms", [40, 250, 500])
def test_a_deep_buffer_comes_in_short_periods(tmp_path: Path, buffer_ms: int) -> None:
    """The buffer that was asked for is given, told once, and wakes the reader for each half block:
    depth costs neither time nor accuracy."""
    card = Card(tmp_path, street(), RATE_HZ, PPM)
    with listening(card, buffer_ms, tmp_path) as ears:
        ears.wait(lambda told: len(seconds(told)) > 0)
        (granted_ms,) = (one["buffer_ms"] for one in ears.told if "buffer_ms" in one)
    assert granted_ms >= 0.95 * buffer_ms
    assert card.buffer_s() >= granted_ms / 1000
    assert card.period_samples() <= BLOCK // 2
    assert ears.logged.count(f"buffer of {granted_ms} ms, {buffer_ms} asked for") == 1


@pytest.mark.parametrize(
    ("buffer_ms", "stalls", "long_ones"),
    [
        (40, [(0.045, False), (0.3, False), (2.0, True)], 2),
        (250, [(0.1, True), (0.6, False), (5.0, True)], 2),
    ],
)
def test_a_stall_misdates_nothing(
    tmp_path: Path, buffer_ms: int, stalls: list[tuple[float, bool]], long_ones: int
) -> None:
    """Longer and shorter than the buffer, idle and busy: what was lost is told to one block, the
    next blast is stamped within 3 sigma, and sigma comes back within a minute."""
    assert trial(tmp_path, buffer_ms, stalls) == long_ones


@pytest.mark.torture
@pytest.mark.parametrize(("buffer_ms", "long_ones"), [(40, 19), (250, 12)])
def test_forty_stalls_misdate_nothing(tmp_path: Path, buffer_ms: int, long_ones: int) -> None:
    """As above, with stalls of 45 ms to 5 s in any order, every other one on a busy host."""
    lengths_s = list(np.geomspace(0.045, 5.0, 20))
    random.Random(buffer_ms).shuffle(lengths_s)
    stalls = [(float(length_s), bool(number % 2)) for number, length_s in enumerate(lengths_s)]
    assert trial(tmp_path, buffer_ms, stalls) >= long_ones
