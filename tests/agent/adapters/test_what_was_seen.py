"""What a daemon and a serial line really tell: the path to a server, bytes that are no sentence."""

import random

import pytest

from agent.adapters.host import Discipline, SystemTimeReference
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader
from agent.core.clock.time_signs import Refusal, TimeMark
from agent.core.units import NS_PER_MS, NS_PER_S

ASSUMED_NS = 50 * NS_PER_MS
GROWS_PPM = 500  # the kernel's, while no server answers


class Host:
    """Both clocks of a host, read without delay; a server answers every `every_s` seconds."""

    def __init__(self, left_ns: int, every_s: int, answers_until_s: int = 10**9) -> None:
        self.now_ns = 100 * NS_PER_S
        self._left_ns, self._every_s, self._until_s = left_ns, every_s, answers_until_s

    def monotonic_ns(self) -> int:
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.now_ns + 1_800_000_000 * NS_PER_S

    def kernel(self) -> Discipline:
        second = self.now_ns // NS_PER_S
        answered = min(second, self._until_s) // self._every_s * self._every_s
        grown_ns = (second - answered) * NS_PER_S * GROWS_PPM // 10**6
        return Discipline(True, self._left_ns + grown_ns, "none")

    def sigmas(self, seconds: int) -> list[int]:
        reference = SystemTimeReference(self, ASSUMED_NS, discipline=self.kernel)
        marks = []
        for _ in range(seconds):
            marks += [sign for sign in reference.poll() if isinstance(sign, TimeMark)]
            self.now_ns += NS_PER_S
        return [mark.sigma_ns for mark in marks]


def test_a_bound_that_knows_its_path_is_believed_after_an_answer() -> None:
    """chrony leaves the root distance at each answer; before one was seen the path is assumed."""
    sigmas = Host(left_ns=3 * NS_PER_MS, every_s=64).sigmas(300)
    assert sigmas[0] == ASSUMED_NS
    assert max(sigmas[-64:]) < 22 * NS_PER_MS
    assert min(sigmas[-64:]) > 1.7 * NS_PER_MS


def test_a_daemon_that_resets_its_bound_is_not() -> None:
    """timesyncd leaves nothing at each answer: it does not know its path, and the rest is ours."""
    assert set(Host(left_ns=0, every_s=32).sigmas(300)) == {ASSUMED_NS}


@pytest.mark.parametrize("left_ns", [0, 3 * NS_PER_MS])
def test_lost_servers_widen_sigma_for_ever(left_ns: int) -> None:
    """By the kernel's own bound, hour after hour."""
    sigmas = Host(left_ns, every_s=64, answers_until_s=400).sigmas(4_000)
    assert sigmas[-1] > 500 * NS_PER_MS
    assert sigmas[-2_000:] == sorted(sigmas[-2_000:])


@pytest.mark.parametrize("left_ns", [0, 3 * NS_PER_MS])
def test_what_the_kernel_adds_between_answers_is_no_crystals_doing(left_ns: int) -> None:
    """Of a clock that was steered for long a crystal's stray counts: 20 ppm at most, not 500."""
    sigmas = Host(left_ns, every_s=64, answers_until_s=1_000).sigmas(9_000)
    path_ns = ASSUMED_NS if left_ns == 0 else left_ns
    assert max(sigmas[960:1_000]) < path_ns + NS_PER_MS
    lost_ns = 20e-6 * 8_000 * NS_PER_S
    assert 0.3 * lost_ns < sigmas[-1] < lost_ns
    assert sigmas[1_000:] == sorted(sigmas[1_000:])


@pytest.mark.parametrize("kind", ["wrong baud", "binary"])
def test_bytes_that_are_no_sentence_are_counted(kind: str) -> None:
    """A wrong speed and a binary receiver both say something; neither is the antenna's fault."""
    rng = random.Random(5)
    reader = ByteReader(9600, NmeaParser().parse)
    signs = []
    for second in range(5):
        start_ns = second * NS_PER_S
        data = bytes(rng.choice(b"\x80\xf8\x78\x00\x1e\xe6") for _ in range(200))
        if kind == "binary":
            data = b"\xa0\xa2" + bytes(rng.choice(range(0x25)) for _ in range(180)) + b"\xb0\xb3"
            data = data.replace(b"$", b"%")
        signs += reader.feed(data, start_ns)
        signs += reader.feed(b"", start_ns + 500 * NS_PER_MS)
    refused = [sign.reason for sign in signs if isinstance(sign, Refusal)]
    assert refused.count("bytes that are no sentence") >= 5
