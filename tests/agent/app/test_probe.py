"""Without the daemon: what some seconds of sound, the host and the broker's address tell."""

import socket
import threading

import numpy as np
import pytest

from agent.app.checks import probe
from agent.app.checks.lights import LIGHT_OF
from agent.app.checks.probe import LISTEN_S, about_broker, about_sound
from agent.core.audio import AudioFormat, MicrophoneState
from agent.core.records.findings import FAULTS
from agent.core.records.sound_faults import FAULT_OF_MICROPHONE
from tests.support import deafness as made

RATE_HZ = 48_000
SECONDS = LISTEN_S + 0.5


class Source:
    """Sound that is made, or what a microphone says in place of it (AudioSource port)."""

    format = AudioFormat(RATE_HZ)

    def __init__(self, wave=None, states=(), hangs: bool = False) -> None:
        sound = [] if wave is None else made.blocks(made.pcm(wave), 1024, RATE_HZ)
        self._items, self._hangs = iter([*states, *sound]), hangs
        self._closed = threading.Event()

    def read(self):
        if self._hangs:
            self._closed.wait()
        return next(self._items, None)

    def close(self) -> None:
        self._closed.set()


def told(source: Source) -> dict[str, str | None]:
    return {one.check: one.fault for one in about_sound(source)}


def test_a_living_microphone_and_ears_are_healthy() -> None:
    """Three seconds of a street say that sound comes, and that a blast in it is heard."""
    assert told(Source(made.street(SECONDS, RATE_HZ))) == {"microphone": None, "hearing": None}


SOUNDS = {
    "digital-silence": made.constant(SECONDS, RATE_HZ, 0.0),
    "stuck-value": made.constant(SECONDS, RATE_HZ, 0.1),
    "stuck-at-rail": made.constant(SECONDS, RATE_HZ, -1.0),
    "hum-only": made.hum(SECONDS, RATE_HZ),
    "no-noise-floor": made.electronics(SECONDS, RATE_HZ, -86.0),
    "clipping": 60.0 * made.street(SECONDS, RATE_HZ, -20.0),
}


@pytest.mark.parametrize("fault", SOUNDS)
def test_a_broken_microphone_is_told_by_its_sound(fault: str) -> None:
    """The same faults as beside the daemon, by the same names."""
    assert told(Source(SOUNDS[fault]))["microphone"] == fault


@pytest.mark.parametrize("condition", sorted(FAULT_OF_MICROPHONE))
def test_a_device_that_cannot_be_heard_is_told_by_its_condition(condition: str) -> None:
    """With the adapter's reason; and nothing is claimed of the hearing."""
    (one,) = about_sound(Source(states=[MicrophoneState(0, condition, "usb: a reason")]))
    assert (one.fault, one.value) == (FAULT_OF_MICROPHONE[condition], "usb: a reason")
    assert LIGHT_OF[one.check] == "hearing"


def test_a_read_that_never_returns_does_not_hold_a_person_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told after some seconds, whatever the driver does."""
    monkeypatch.setattr(probe, "_PATIENCE_S", 0.1)
    source = Source(hangs=True)
    assert told(source) == {"microphone": "microphone-hung"}
    source.close()


def test_an_end_of_sound_is_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of a blink tells nothing."""
    assert told(Source(np.zeros(100))) == {"microphone": "microphone-hung"}


def test_a_broker_that_answers_is_told_apart_from_one_that_does_not() -> None:
    """By its address; the name is the finding of the daemon's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (one,) = about_broker(f"mqtt://127.0.0.1:{port}")
        assert (one.status, one.value) == ("healthy", f"127.0.0.1:{port} answers")
    (one,) = about_broker(f"mqtt://127.0.0.1:{port}")
    assert (one.fault, one.part) == ("broker-away", FAULTS["broker-away"].part)
    assert "refused" in one.value
