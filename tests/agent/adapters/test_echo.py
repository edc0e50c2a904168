"""A pulse foretold too late reads like the next one: only a measured line may name pulses."""

import os
import select
import time
import tty

import pytest
from pyubx2 import UBXReader

from agent.adapters.host import SystemClock
from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader, Echo, SerialReceiver
from agent.adapters.ubx import UbxFrames, frame, is_answer, question
from agent.core.clock.time_signs import NextPulse
from agent.core.units import NS_PER_MS, NS_PER_S

TIM_TP = frame((0x0D, 0x01), bytes.fromhex("40420f00000000000000000028090300"))
RATE = frame((0x06, 0x08), bytes.fromhex("e80301000100"))
ACK = frame((0x05, 0x01), bytes((0x06, 0x08)))
NAK = frame((0x05, 0x00), bytes((0x06, 0x08)))


def heard(delay_ms: float, answer: bytes = RATE, minutes: int = 2) -> list[NextPulse]:
    """What is told of the next pulse on a line that delivers, and answers, so late."""
    echo = Echo(question(), is_answer)
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse, None, echo)
    signs: list[object] = []
    answers: list[int] = []
    for tick in range(minutes * 60 * 20):
        now_ns = tick * 50 * NS_PER_MS
        data = TIM_TP if tick % 20 == 0 else b""
        if answers and answers[0] <= now_ns:
            answers.pop()
            data += answer
        signs += reader.feed(data, now_ns)
        if not data and echo.question_due(now_ns):
            answers.append(now_ns + round(delay_ms * NS_PER_MS))
    return [sign for sign in signs if isinstance(sign, NextPulse)]


@pytest.mark.parametrize("answer", [RATE, ACK, NAK])
def test_a_line_that_answers_soon_names_pulses(answer: bytes) -> None:
    """However the receiver answers; each word says how late it may be."""
    words = heard(120.0, answer)
    assert len(words) >= 118  # all but the first, before anything was measured
    assert all(100 * NS_PER_MS <= one.delay_ns <= 200 * NS_PER_MS for one in words)


@pytest.mark.parametrize(("delay_ms", "answer"), [(1300.0, RATE), (900.0, ACK), (120.0, TIM_TP)])
def test_a_line_that_is_late_or_silent_names_none(delay_ms: float, answer: bytes) -> None:
    """A bridge that adds a second; a receiver that does not know the question."""
    assert heard(delay_ms, answer) == []


def test_a_line_that_becomes_slow_names_no_more() -> None:
    """The measurement lasts a minute and a half; a question without an answer ends it sooner."""
    echo = Echo(question(), is_answer)
    echo.want()
    assert echo.question_due(0) == question()
    echo.hear(RATE, 100 * NS_PER_MS)
    assert echo.bound_ns(NS_PER_S) == 100 * NS_PER_MS
    echo.want()
    assert echo.question_due(NS_PER_S) == b""
    assert echo.question_due(21 * NS_PER_S) == question()
    assert echo.bound_ns(21 * NS_PER_S + 500 * NS_PER_MS) == 100 * NS_PER_MS
    assert echo.bound_ns(22 * NS_PER_S) is None


@pytest.mark.parametrize("answers", [True, False])
def test_a_real_line_is_asked_in_its_pauses(*, answers: bool) -> None:
    """On a pseudo-terminal: the question goes out after the first word, and the answer counts."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    reader = ByteReader(9600, NmeaParser().parse, UbxFrames().parse, None,
                        Echo(question(), is_answer))  # fmt: skip
    receiver = SerialReceiver(os.ttyname(theirs), 9600, SystemClock(), reader, held=lambda path: "")
    asked, signs, until_s = b"", [], time.monotonic() + (8.0 if answers else 1.5)
    try:
        while time.monotonic() < until_s and not signs:
            os.write(ours, TIM_TP)
            time.sleep(0.15)
            if select.select([ours], [], [], 0)[0]:
                asked += os.read(ours, 100)
                if answers:
                    os.write(ours, RATE)
                time.sleep(0.1)
            signs += [sign for sign in receiver.poll() if isinstance(sign, NextPulse)]
    finally:
        receiver.close()
        os.close(theirs)
        os.close(ours)
    assert asked == question()
    assert bool(signs) is answers


def test_the_question_changes_nothing() -> None:
    """By pyubx2: a poll of CFG-RATE, without a payload."""
    told = UBXReader.parse(question(), msgmode=2)
    assert told.identity == "CFG-RATE"
    assert told.length == 0
