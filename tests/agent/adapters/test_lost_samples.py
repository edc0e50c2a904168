"""Samples that a device lost: every one is told, and none is misdated, whatever the driver says."""

import random
from itertools import pairwise

import numpy as np
import pytest

from agent.adapters.microphone import PortAudioMicrophone
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.card import RATE_HZ, Converter, Stopwatch

BLOCK = 1024
RING = 12_000 + BLOCK // 2  # 250 ms, and the piece that becomes whole meanwhile
REAL_FLAGS = (1,)
ODD_FLAGS = [REAL_FLAGS, (0,), (1, 2), (0, 1, 2, 3), (9,), ()]


def plugged_in(card: Converter) -> PortAudioMicrophone:
    fmt = AudioFormat(RATE_HZ)
    return PortAudioMicrophone(card, fmt, BLOCK, card.watch, "int32", sleep_s=card.sleep_s)


def heard(mic: PortAudioMicrophone, card: Converter, seconds: float) -> list[AudioBlock | AudioGap]:
    """All that comes until the host's time is so much later."""
    until_ns = card.watch.now_ns + round(seconds * NS_PER_S)
    told: list[AudioBlock | AudioGap] = []
    while card.watch.now_ns < until_ns:
        sound = mic.read()
        assert sound is not None
        told.append(sound)
    return told


def gaps_in(told: list[AudioBlock | AudioGap]) -> list[AudioGap]:
    return [one for one in told if isinstance(one, AudioGap)]


def assert_in_step(told: list[AudioBlock | AudioGap], slack_samples: int = 2) -> None:
    """Indices and host times follow each other, and each sample has the index it was taken at."""
    for one, after in pairwise(told):
        end = one.first_sample + (one.lost if isinstance(one, AudioGap) else len(one.samples))
        assert after.first_sample == end
        assert one.host_ns <= after.host_ns
    for block in told:
        if isinstance(block, AudioBlock):
            off = block.samples - np.arange(block.first_sample, block.end_sample)
            assert np.abs(off).max() <= slack_samples, block.first_sample


@pytest.mark.parametrize("flags", ODD_FLAGS)
@pytest.mark.parametrize("is_within_read", [False, True])
@pytest.mark.parametrize("stop_s", [0.3, 5.0])
def test_a_loss_is_told_whatever_the_flag_says(
    stop_s: float, flags: tuple[int, ...], is_within_read: bool
) -> None:
    """Flagged on time, late, often or never; with the reader away, or stopped while it waits: the
    gap comes before the first sample after the loss, and is right to a block."""
    card = Converter(Stopwatch(), RING, flags=flags)
    mic = plugged_in(card)
    told = heard(mic, card, 3.0)
    if is_within_read:
        card.stops_s = [stop_s]
    else:
        card.watch.sleep_s(stop_s)
    told += heard(mic, card, 3.0)
    (gap,) = gaps_in(told)
    assert abs(gap.lost - card.losses[0]) <= BLOCK
    assert_in_step(told)


def test_a_loss_smaller_than_the_flags_story_is_not_made_larger() -> None:
    """A driver that drops 30 ms and then flags five reads loses 30 ms."""
    card = Converter(Stopwatch(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    card.watch.sleep_s(0.03)
    card.lose(1440)
    card.flagged_reads |= set(range(card.reads + 1, card.reads + 6))
    told += heard(mic, card, 2.0)
    (gap,) = gaps_in(told)
    assert abs(gap.lost - 1440) <= BLOCK
    assert_in_step(told)


def test_a_flag_without_a_visible_loss_counts_for_what_is_seen() -> None:
    """What is smaller than the jitter of deliveries is told once the driver knows of it."""
    card = Converter(Stopwatch(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    card.watch.sleep_s(0.001)
    card.lose(48)
    card.flagged_reads.add(card.reads + 2)
    told += heard(mic, card, 2.0)
    (gap,) = gaps_in(told)
    assert abs(gap.lost - 48) <= 1


@pytest.mark.parametrize("stop_s", [0.045, 0.1, 0.24])
def test_a_stop_shorter_than_the_buffer_loses_nothing(stop_s: float) -> None:
    """Blocks come in a burst after it, every one at its place; no gap is told."""
    card = Converter(Stopwatch(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    for _ in range(20):
        card.stops_s = [stop_s]
        told += heard(mic, card, 0.5)
        card.watch.sleep_s(stop_s)
        told += heard(mic, card, 0.5)
    assert not gaps_in(told)
    assert_in_step(told, slack_samples=0)


@pytest.mark.parametrize("ppm", [100.0, -100.0, 3_000.0, -80_000.0, -270_000.0])
def test_a_wrong_rate_is_no_loss(ppm: float) -> None:
    """Not from the first block on, and not after a while: a rate is for the clock to find."""
    card = Converter(Stopwatch(), RING, ppm=ppm)
    told = heard(plugged_in(card), card, 30.0)
    assert not gaps_in(told)
    assert_in_step(told, slack_samples=0)


@pytest.mark.parametrize("ppm", [100.0, -100.0])
def test_the_length_of_a_loss_follows_the_devices_own_rate(ppm: float) -> None:
    """A minute's stop of a crystal 100 ppm off is right to 20 samples, not to its 288."""
    card = Converter(Stopwatch(), RING, ppm=ppm)
    mic = plugged_in(card)
    told = heard(mic, card, 20.0)
    card.watch.sleep_s(60.0)
    told += heard(mic, card, 2.0)
    assert len(gaps_in(told)) == 1
    assert_in_step(told, slack_samples=20)


def test_losses_close_together_are_all_told() -> None:
    """Also one during the read that would have settled another."""
    chance = random.Random(5)
    card = Converter(Stopwatch(), 2560)
    mic = plugged_in(card)
    told = heard(mic, card, 1.0)
    for _ in range(100):
        card.stops_s = [chance.choice([0.0, 0.0, chance.uniform(0.02, 0.3)]) for _ in range(8)]
        told += heard(mic, card, chance.uniform(0.001, 0.2))
    told += heard(mic, card, 1.0)
    given_up = (BLOCK // 2 + 1) * len(card.losses)
    assert len(card.losses) > 50
    assert 0 <= sum(gap.lost for gap in gaps_in(told)) - sum(card.losses) <= given_up
    assert_in_step(told, slack_samples=len(card.losses))


class SoundServer(Converter):
    """A card behind a server with a deep buffer, which tells of the next few periods at most, and
    may fall asleep: then nothing comes, and after it all comes in a hurry."""

    asleep_ns = (0, 0)

    @property
    def captured(self) -> int:
        fell_asleep_ns, woke_ns = self.asleep_ns
        if self.watch.now_ns < fell_asleep_ns:
            return super().captured
        hurry = 10 * max(0, self.watch.now_ns - woke_ns)
        passed_ns = min(fell_asleep_ns - self.start_ns + hurry, self.watch.now_ns - self.start_ns)
        return int(passed_ns / NS_PER_S * self.rate_hz)

    @property
    def read_available(self) -> int:
        return min(super().read_available, 2 * self.period_samples)

    def _recover(self) -> None:
        """The server keeps what it has."""


@pytest.mark.parametrize("asleep_ms", [30, 200, 400])
def test_a_server_that_is_late_has_lost_nothing(asleep_ms: int) -> None:
    """What a read waited for in vain is no loss while it may still come."""
    card = SoundServer(Stopwatch(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    card.asleep_ns = (card.watch.now_ns, card.watch.now_ns + asleep_ms * NS_PER_MS)
    told += heard(mic, card, 2.0)
    assert not gaps_in(told)
    assert_in_step(told, slack_samples=0)


@pytest.mark.parametrize("away_s", [0.1, 0.4, 3.0])
def test_a_server_that_hides_what_it_holds_has_lost_nothing(away_s: float) -> None:
    """A reader that was away gets it all, in reads that need not wait."""
    card = SoundServer(Stopwatch(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    card.watch.sleep_s(away_s)
    told += heard(mic, card, 4.0)
    assert not gaps_in(told)
    assert_in_step(told, slack_samples=0)


class Preempted(Stopwatch):
    """A host that is busy: sometimes it takes 45 ms to look at the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random(3)

    def monotonic_ns(self) -> int:
        before_ns = self.now_ns
        if self.chance.random() < 0.03:
            self.sleep_s(0.045)
        return self.chance.choice([before_ns, self.now_ns])


def test_a_busy_host_has_lost_nothing() -> None:
    """Neither a clock read late nor a count taken late makes a gap or moves one."""
    card = Converter(Preempted(), RING)
    mic = plugged_in(card)
    told = heard(mic, card, 60.0)
    assert not gaps_in(told)
    card.watch.sleep_s(1.0)
    told += heard(mic, card, 5.0)
    assert len(gaps_in(told)) == 1
    assert_in_step(told, slack_samples=RATE_HZ // 500)


@pytest.mark.parametrize("granule_samples", [48, 480, 1024])
def test_samples_that_come_in_packets_are_counted_to_a_packet(granule_samples: int) -> None:
    """USB's milliseconds, a mixer's periods: no loss is seen where there is none, and one that is
    there is right to a packet."""
    card = Converter(Stopwatch(), RING, granule_samples=granule_samples)
    mic = plugged_in(card)
    told = heard(mic, card, 10.0)
    assert not gaps_in(told)
    for stop_s in (0.3, 0.7, 1.1):
        card.stops_s = [stop_s]
        told += heard(mic, card, 5.0)
    assert len(gaps_in(told)) == 3
    assert_in_step(told, slack_samples=3 * granule_samples)


class Interrupted(Stopwatch):
    """A host that takes the processor away for 80 ms at one look at the clock."""

    looks_left = -1

    def monotonic_ns(self) -> int:
        self.looks_left -= 1
        if self.looks_left == 0:
            self.sleep_s(0.08)
        return self.now_ns


@pytest.mark.parametrize("look", range(1, 10))
@pytest.mark.parametrize("flags", [REAL_FLAGS, ()])
def test_a_loss_is_told_wherever_the_reader_was_interrupted(
    flags: tuple[int, ...], look: int
) -> None:
    """Before a read, after it, or while what waits was counted."""
    watch = Interrupted()
    card = Converter(watch, 2560, flags=flags)
    mic = plugged_in(card)
    told = heard(mic, card, 2.0)
    watch.looks_left = look
    told += heard(mic, card, 2.0)
    (gap,) = gaps_in(told)
    assert abs(gap.lost - card.losses[0]) <= BLOCK
    assert_in_step(told)


@pytest.mark.parametrize("ppm", [0.0, 100.0])
@pytest.mark.parametrize("period_samples", [240, 512, 1000, 3000])
def test_a_block_is_dated_when_it_was_whole(period_samples: int, ppm: float) -> None:
    """However reads and periods lie to each other: never before its last sample, and at the end of
    each period hardly more than one sample after it."""
    card = Converter(Stopwatch(), RING, ppm=ppm, period_samples=period_samples)
    mic, late_ns = plugged_in(card), []
    for _ in range(10):
        card.watch.sleep_s(0.15)
        for block in heard(mic, card, 1.0):
            assert isinstance(block, AudioBlock)
            late_ns.append(
                block.host_ns - card.start_ns - block.end_sample * NS_PER_S / card.rate_hz
            )
    assert min(late_ns) >= -1 - BLOCK * NS_PER_S / RATE_HZ * ppm * 1e-6
    assert np.percentile(late_ns, 15) <= 1.1 * NS_PER_S / RATE_HZ
