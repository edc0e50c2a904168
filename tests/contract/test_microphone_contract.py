"""What every microphone promises: the virtual one, a file, and a device through real PortAudio.

The device is ALSA's plugin: `tests.support.simmic`. It is what can be pulled out, plugged in, held
by others, or hang; the virtual one can be away, and a file can do none of that.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.adapters.host import SystemClock
from agent.adapters.microphone import (
    EnduringMicrophone,
    FileMicrophone,
    find_device,
    open_portaudio,
)
from agent.core.audio import AudioBlock, AudioFormat, AudioGap, Heard, MicrophoneState
from agent.core.units import NS_PER_S
from agent.errors import MicrophoneError
from agent.ports import AudioSource
from simulator.grid.hardware import Board, RecordedAudio, VirtualMicrophone, assemble
from simulator.scene.oscillators import DeliveryDelay
from simulator.scene.randomness import stream
from tests.support.card import Stopwatch
from tests.support.simmic import Card, plugged_in

RATE_HZ = 48_000
CLOCK = SystemClock()
SOUND = np.random.default_rng(5).integers(-30_000, 30_000, 11 * RATE_HZ).astype(np.int16)
SECONDS = 10

Made = tuple[AudioSource, Callable[[], np.ndarray]]
"""A microphone, and what it plays, from its first sample on, over and over; full scale of int32."""


def wide(samples: np.ndarray) -> np.ndarray:
    """As int32 of the same full scale."""
    return samples.astype(np.int32) << 16 if samples.dtype == np.int16 else samples


def virtual_microphone(absences: tuple[tuple[int, int], ...] = ()) -> VirtualMicrophone:
    hardware = assemble(RecordedAudio(SOUND, RATE_HZ, 10**18), Board(), "n1", 1, 15.0)
    delay = DeliveryDelay(0, 500_000, stream(1, "delay"))
    sound = RecordedAudio(SOUND, RATE_HZ, hardware.clock.realtime_ns())
    return VirtualMicrophone(sound, hardware.clock, delay, 1024, (), None, absences)


@contextmanager
def virtual(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Made]:
    yield virtual_microphone(), lambda: SOUND


@contextmanager
def file(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Made]:
    soundfile.write(directory / "a.wav", SOUND, RATE_HZ)
    watch = Stopwatch()
    yield FileMicrophone(directory / "a.wav", 1024, watch, watch.sleep_s), lambda: SOUND


def opened(name: str = "simmic", rate_hz: int = RATE_HZ) -> EnduringMicrophone:
    open_device = partial(open_portaudio, name, rate_hz, 1024, CLOCK)
    return EnduringMicrophone(open_device, AudioFormat(rate_hz, None, 250), CLOCK)


@contextmanager
def portaudio(directory: Path, patch: pytest.MonkeyPatch) -> Iterator[Made]:
    card = Card(directory, SOUND, RATE_HZ, 0.0)
    plugged_in(card, patch)
    yield opened(), lambda: np.roll(SOUND, -card.first_read())


KINDS = [
    virtual,
    file,
    pytest.param(portaudio, marks=pytest.mark.system),
]
Kind = Callable[[Path, pytest.MonkeyPatch], object]


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch, request.param(tmp_path, patch) as one:
        yield one
        one[0].close()


def heard(mic: AudioSource, seconds: float) -> list[Heard]:
    """All that comes until so much sound has been told of."""
    told, samples = [], 0
    while samples < seconds * mic.format.rate_hz:
        one = mic.read()
        assert one is not None
        told.append(one)
        if not isinstance(one, MicrophoneState):
            samples += one.lost if isinstance(one, AudioGap) else len(one.samples)
    return told


def blocks(told: list[Heard]) -> list[AudioBlock]:
    return [one for one in told if isinstance(one, AudioBlock)]


def states(told: list[Heard]) -> list[str]:
    return [one.condition for one in told if isinstance(one, MicrophoneState)]


def assert_exact(told: list[Heard], sound: np.ndarray) -> None:
    """Each sample of each block is the one that was played at its index."""
    assert blocks(told)
    for block in blocks(told):
        at = np.arange(block.first_sample, block.end_sample) % len(sound)
        assert np.array_equal(wide(block.samples), wide(sound)[at]), block.first_sample


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_ten_seconds_are_sample_exact(made: Made) -> None:
    """In order and without a hole; no block comes before its last sample was converted."""
    mic, sound = made
    told = heard(mic, SECONDS)
    assert not [one for one in told if isinstance(one, AudioGap)]
    assert_exact(told, sound())
    assert [one.first_sample for one in blocks(told)[1:]] == [
        one.end_sample for one in blocks(told)[:-1]
    ]
    times_ns = [one.host_ns for one in told]
    assert times_ns == sorted(times_ns)
    first = blocks(told)[0]
    for block in blocks(told):
        due_ns = (block.end_sample - first.end_sample) * NS_PER_S / RATE_HZ
        assert block.host_ns - first.host_ns >= due_ns - 0.02 * NS_PER_S


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_closed_it_is_at_its_end(made: Made) -> None:
    """Closing twice is harmless."""
    mic, _ = made
    heard(mic, 0.1)
    mic.close()
    mic.close()
    assert mic.read() is None


def test_a_virtual_device_that_was_away_tells_so() -> None:
    """At once and each second, and then that another stream begins; what it played is exact."""
    mic = virtual_microphone(((2 * RATE_HZ, 3 * RATE_HZ),))
    told = heard(mic, SECONDS)
    assert states(told) == ["unplugged"] * 3 + ["hearing"]
    (gap,) = (one for one in told if isinstance(one, AudioGap))
    assert (gap.first_sample, gap.lost, gap.is_reopened) == (2 * RATE_HZ, 3 * RATE_HZ, True)
    times_ns = [one.host_ns for one in told]
    assert times_ns == sorted(times_ns)
    assert_exact(told, SOUND)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card(tmp_path, SOUND, RATE_HZ, 0.0)
    plugged_in(made, monkeypatch)
    return made


def until(mic: AudioSource, condition: str, most_s: float) -> tuple[list[Heard], float]:
    """What comes until that is its condition, and how long it took."""
    began_s, told = time.monotonic(), []
    while states(told)[-1:] != [condition]:
        told.append(mic.read())
        assert time.monotonic() - began_s < most_s, states(told)
    return told, time.monotonic() - began_s


@pytest.mark.system
@pytest.mark.parametrize("ails", ["unplugged", "mute", "busy"])
def test_a_device_is_heard_again(card: Card, ails: str) -> None:
    """Pulled out, it is noticed within a second; mute without an error, within its patience. What
    another program took away while it was out is told as that. Back, it is heard within 5 s, and
    what was missed is one gap of another stream."""
    mic = opened()
    before = heard(mic, 2.0)
    gone_s = time.monotonic()
    card.ail("unplugged" if ails == "busy" else ails)
    told, noticed_s = until(mic, "stuck" if ails == "mute" else "unplugged", 8)
    assert noticed_s <= (6.5 if ails == "mute" else 1.0)
    if ails == "busy":
        card.ail("busy")
        told += until(mic, "busy", 8)[0]
    told += until(mic, states(told)[-1], 2)[0]
    card.heal()
    back, again_s = until(mic, "hearing", 5)
    missed_s = time.monotonic() - gone_s
    after = heard(mic, 1.0)
    mic.close()
    assert again_s <= 5
    gaps = [one for one in told + back + after if isinstance(one, AudioGap)]
    assert sum(gap.lost for gap in gaps) / RATE_HZ == pytest.approx(missed_s, abs=0.3)
    assert all(gap.is_reopened for gap in gaps)
    at = 0
    for one in before + told + back + after:
        if not isinstance(one, MicrophoneState):
            assert one.first_sample == at
            at += one.lost if isinstance(one, AudioGap) else len(one.samples)


@pytest.mark.system
def test_two_equal_devices_are_told_apart(card: Card, tmp_path: Path) -> None:
    """Same description, other names: each plays its own sound, whatever ails the other; a name that
    both have is refused, and tells them both."""
    other = Card(tmp_path, -SOUND, RATE_HZ, 0.0, name="simmic_b")
    for name, sound in (("simmic", SOUND), ("simmic_b", -SOUND)):
        mic = opened(name)
        told = heard(mic, 1.0)
        mic.close()
        first = wide(blocks(told)[0].samples)
        starts = np.flatnonzero(wide(sound) == first[0])
        assert any(np.array_equal(wide(sound)[at : at + len(first)], first) for at in starts)
    with pytest.raises(MicrophoneError, match=r"simmic \(48000 Hz\), .*simmic_b \(") as caught:
        find_device("mic", RATE_HZ, 1)
    assert caught.value.condition == "ambiguous"
    other.ail("unplugged")
    assert find_device("simmic", RATE_HZ, 1) == "simmic"
    with pytest.raises(MicrophoneError, match="no such device"):
        find_device("simmic_c", RATE_HZ, 1)


@pytest.mark.system
@pytest.mark.parametrize("sample_format", ["S16_LE", "S24_3LE", "S32_LE"])
@pytest.mark.parametrize("rate_hz", [12_000, 44_100, 96_000])
def test_every_bit_of_every_kind_of_sample_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_format: str, rate_hz: int
) -> None:
    """16, 24 and 32 bits, at the lowest, an odd and the highest rate."""
    whole = np.random.default_rng(6).integers(-(2**31), 2**31, 2 * rate_hz).astype(np.int32)
    sound = {"S16_LE": (whole >> 16).astype(np.int16), "S24_3LE": whole & ~0xFF}
    played = sound.get(sample_format, whole)
    card = Card(tmp_path, played, rate_hz, 0.0, sample_format=sample_format)
    plugged_in(card, monkeypatch)
    mic = opened(rate_hz=rate_hz)
    told = heard(mic, 1.5)
    mic.close()
    assert_exact(told, np.roll(played, -card.first_read()))
