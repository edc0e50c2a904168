"""A microphone that outlasts its device: nothing ends it, and nothing that was missed is hidden."""

from collections.abc import Callable

import numpy as np
import pytest

from agent.adapters.microphone import EnduringMicrophone, PortAudioMicrophone
from agent.adapters.microphone.enduring import RETRY_S
from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Heard, MicrophoneState
from agent.core.units import NS_PER_S
from agent.errors import MicrophoneError
from tests.support.card import RATE_HZ, Converter, Stopwatch

FORMAT = AudioFormat(RATE_HZ, None, 250)


class Bench:
    """A socket into which cards are plugged; `ails` is what stands against opening one."""

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.ails: MicrophoneError | None = None
        self.cards: list[Converter] = []
        self.begins_with: Callable[[Converter], None] = lambda card: None

    def open(self) -> PortAudioMicrophone:
        self.watch.sleep_s(0.2)
        if self.ails:
            raise self.ails
        card = Converter(self.watch, 12_000)
        self.begins_with(card)
        self.cards.append(card)
        fmt = AudioFormat(RATE_HZ, None, 240)
        return PortAudioMicrophone(card, fmt, 480, self.watch, "int32", sleep_s=card.sleep_s)

    def microphone(self) -> EnduringMicrophone:
        return EnduringMicrophone(self.open, FORMAT, self.watch, self.watch.sleep_s)


def absent() -> MicrophoneError:
    return MicrophoneError("absent", "portaudio:x: no such device: plug it in")


def heard(mic: EnduringMicrophone, bench: Bench, seconds: float) -> list[Heard]:
    until_ns, told = bench.watch.now_ns + round(seconds * NS_PER_S), []
    while bench.watch.now_ns < until_ns:
        told.append(mic.read())
    return told


def of(kind: type, told: list[Heard]) -> list:
    return [one for one in told if isinstance(one, kind)]


def assert_counted(told: list[Heard]) -> None:
    """Indices follow each other over blocks, gaps and devices."""
    at = 0
    for one in told:
        if not isinstance(one, MicrophoneState):
            assert one.first_sample == at
            at += one.lost if isinstance(one, AudioGap) else len(one.samples)


def test_a_device_that_works_is_told_once_and_passed_on() -> None:
    """Its granted buffer is known from the start, its blocks come as they are."""
    bench = Bench()
    mic = bench.microphone()
    assert mic.format.buffer_ms == 240
    told = heard(mic, bench, 5.0)
    assert [one.condition for one in of(MicrophoneState, told)] == ["hearing"]
    assert not of(AudioGap, told)
    assert_counted(told)


@pytest.mark.parametrize("condition", ["absent", "busy", "refused", "ambiguous", "broken"])
def test_a_device_that_comes_a_minute_after_the_start_is_heard(condition: str) -> None:
    """Whatever stood against it is told while it does, at least each second; within RETRY_S and a
    bit of its end sound comes, and the minute before counts as lost."""
    bench = Bench()
    bench.ails = MicrophoneError(condition, f"portaudio:x: {condition}")
    mic = bench.microphone()
    assert mic.format == FORMAT
    waited = heard(mic, bench, 61.0)
    states = of(MicrophoneState, waited)
    assert {(one.condition, one.reason) for one in states} == {
        (condition, f"portaudio:x: {condition}")
    }
    times_ns = [one.host_ns for one in states]
    assert max(np.diff(times_ns)) <= 1.5 * NS_PER_S
    bench.ails, back_ns = None, bench.watch.now_ns
    told = heard(mic, bench, RETRY_S + 1.0)
    assert of(MicrophoneState, told)[-1].condition == "hearing"
    first = of(AudioBlock, told)[0]
    assert (first.host_ns - back_ns) / NS_PER_S < RETRY_S + 0.5
    assert first.first_sample / RATE_HZ == pytest.approx(61.0 + RETRY_S, abs=RETRY_S)
    assert_counted(waited + told)


def test_unplugged_and_plugged_in_again() -> None:
    """The gap between has the length of the absence, and says that another device may have come."""
    bench = Bench()
    mic = bench.microphone()
    told = heard(mic, bench, 5.0)
    bench.cards[0].unplugged, bench.ails, away_ns = True, absent(), bench.watch.now_ns
    told += heard(mic, bench, 150.0)
    states = of(MicrophoneState, told)
    assert (states[1].condition, states[-1].condition) == ("unplugged", "absent")
    assert states[1].host_ns - away_ns < NS_PER_S
    assert bench.cards[0].closed
    told_missed = sum(gap.lost for gap in of(AudioGap, told)) / RATE_HZ
    assert told_missed == pytest.approx(120.0, abs=3.0), "each minute that is missed is told"
    bench.ails = None
    told += heard(mic, bench, 10.0)
    gaps, blocks = of(AudioGap, told), of(AudioBlock, told)
    assert all(gap.is_reopened and gap.reason.startswith("microphone ") for gap in gaps)
    back = next(block for block in blocks if block.host_ns > gaps[-1].host_ns)
    missed_s = (back.host_ns - away_ns) / NS_PER_S
    assert sum(gap.lost for gap in gaps) / RATE_HZ == pytest.approx(missed_s, abs=0.05)
    assert of(MicrophoneState, told)[-1] == MicrophoneState(back.host_ns, "hearing", "", 1)
    assert_counted(told)


def test_a_device_that_opens_and_stays_mute_is_never_called_hearing() -> None:
    """What opens is not heard yet; it is tried again and again, and told as what it is."""
    bench = Bench()
    bench.begins_with = Converter.mute
    mic = bench.microphone()
    told = heard(mic, bench, 60.0)
    assert {one.condition for one in of(MicrophoneState, told)} == {"stuck"}
    assert not of(AudioBlock, told)
    assert len(bench.cards) > 5
    assert all(card.closed for card in bench.cards[:-1])


def test_a_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not each time that it is tried: a microphone that is gone for a week is one line."""
    bench = Bench()
    bench.ails = absent()
    mic = bench.microphone()
    with caplog.at_level("INFO", logger="earshot"):
        heard(mic, bench, 300.0)
        bench.ails = None
        heard(mic, bench, 10.0)
    assert caplog.messages == [str(absent()), "microphone is heard again"]


def test_closing_is_the_end() -> None:
    """Closed twice, with a device or without one; then nothing comes."""
    for ails in (None, absent()):
        bench = Bench()
        bench.ails = ails
        mic = bench.microphone()
        heard(mic, bench, 2.0)
        mic.close()
        mic.close()
        assert mic.read() is None
        assert all(card.closed for card in bench.cards)
