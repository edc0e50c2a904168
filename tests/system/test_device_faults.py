"""What cannot be opened is told in a line of its own, through real PortAudio on a real ALSA."""

from pathlib import Path

import numpy as np
import pytest

from agent.adapters.host import SystemClock
from agent.adapters.microphone import find_device, open_portaudio
from agent.errors import MicrophoneError
from tests.support.simmic import Card, plugged_in

CLOCK, RATE_HZ = SystemClock(), 48_000

pytestmark = pytest.mark.system


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card(tmp_path, np.arange(RATE_HZ, dtype=np.int16), RATE_HZ, 0.0)
    plugged_in(made, monkeypatch)
    return made


@pytest.mark.parametrize(
    ("ails", "name", "rate_hz", "condition", "told"),
    [
        ("", "simmik", 48_000, "absent", r"simmik: no such device; there are portaudio:simmic \("),
        (
            "",
            "simmic",
            44_100,
            "refused",
            r"simmic: does not take 44100 Hz .*takes 48000 Hz.*: set",
        ),
        ("busy", "simmic", 48_000, "busy", r"simmic: is in use by another program: stop that"),
        ("unplugged", "simmic", 48_000, "absent", r"simmic: no such device.*: plug it in"),
    ],
)
def test_each_fault_has_words_of_its_own(
    card: Card, ails: str, name: str, rate_hz: int, condition: str, told: str, capfd
) -> None:
    """One line that names the device, what there is and the remedy; nothing of PortAudio's own."""
    if ails:
        card.ail(ails)
    with pytest.raises(MicrophoneError, match=told) as caught:
        open_portaudio(name, rate_hz, 1024, CLOCK)
    assert caught.value.condition == condition
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("text", ["pcm.x { type\n", None])
def test_a_broken_alsa_configuration_is_one_line(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Though it aborts whoever imports sounddevice: this process lives on."""
    broken = tmp_path / "broken.conf"
    if text:
        broken.write_text(text)
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(broken))
    with pytest.raises(MicrophoneError, match=r"mend or remove /etc/asound\.conf") as caught:
        find_device("simmic", RATE_HZ, 1)
    assert caught.value.condition == "broken"
    assert "\n" not in str(caught.value)
