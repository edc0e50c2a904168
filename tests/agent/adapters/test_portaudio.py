"""A device as a microphone: it loses samples, is pulled out, and goes through real PortAudio."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.adapters.microphone import PortAudioMicrophone, PpsChannel, open_portaudio
from agent.adapters.microphone.device import MUTE_S
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.units import NS_PER_S
from agent.errors import MicrophoneError
from tests.support.card import RATE_HZ, Converter, Stopwatch, ramp, two_channels


def plug_in(watch: Stopwatch, ring_samples: int = 9600) -> tuple[PortAudioMicrophone, Converter]:
    card = Converter(watch, ring_samples)
    fmt = AudioFormat(RATE_HZ)
    return PortAudioMicrophone(card, fmt, 480, watch, "int32", sleep_s=card.sleep_s), card


def test_a_device_in_time_loses_nothing() -> None:
    """Blocks follow each other without a gap, also when several wait in the ring."""
    watch = Stopwatch()
    mic, _ = plug_in(watch)
    for number in range(20):
        block = mic.read()
        assert isinstance(block, AudioBlock)
        assert block.first_sample == block.samples[0] == number * 480
        if number == 9:
            watch.sleep_s(0.1)


def test_an_overflow_becomes_a_gap_of_the_right_length() -> None:
    """After lost samples the index goes on where the converter is, to a sample's rounding."""
    watch = Stopwatch()
    mic, _ = plug_in(watch)
    mic.read()
    for lateness_s in (0.7, 1.3):
        watch.sleep_s(lateness_s)
        gap, block = mic.read(), mic.read()
        assert isinstance(gap, AudioGap)
        assert isinstance(block, AudioBlock)
        assert gap.lost == pytest.approx(lateness_s * RATE_HZ, abs=480)
        assert block.first_sample == gap.first_sample + gap.lost
        assert abs(block.first_sample - int(block.samples[0])) <= 2
        assert gap.host_ns <= block.host_ns
    mic.read()


def test_a_device_pulled_out_is_one_line() -> None:
    """Losing the device is an error with a remedy, told at once; closing then still works."""
    watch = Stopwatch()
    mic, card = plug_in(watch)
    mic.read()
    card.unplugged, since_ns = True, watch.now_ns
    with pytest.raises(
        MicrophoneError, match=r": went away \(.*No such device.*check its plug"
    ) as e:
        mic.read()
    assert e.value.condition == "unplugged"
    assert watch.now_ns - since_ns < 0.1 * NS_PER_S
    mic.close()
    mic.close()
    assert card.closed
    assert mic.read() is None


def test_a_device_that_falls_silent_without_an_error_is_noticed() -> None:
    """It takes no more samples: within MUTE_S and a bit that is an error, and no read hangs."""
    watch = Stopwatch()
    mic, card = plug_in(watch)
    mic.read()
    card.mute()
    since_ns = watch.now_ns
    with pytest.raises(MicrophoneError, match="no sound and no error") as caught:
        mic.read()
    assert caught.value.condition == "stuck"
    assert MUTE_S <= (watch.now_ns - since_ns) / NS_PER_S <= MUTE_S + 0.5


def test_a_process_that_was_stopped_has_not_waited_in_vain() -> None:
    """A minute of SIGSTOP is lost sound, and no fault of the device."""
    watch = Stopwatch()
    mic, card = plug_in(watch)
    mic.read()
    card.stops_s = [60.0]
    assert isinstance(mic.read(), AudioGap)


def test_lost_samples_are_counted_once_for_both_channels() -> None:
    """A gap has the same length with pulses as without, and both channels go on in step."""
    watch = Stopwatch()
    card = Converter(watch, 9600, channels=2)
    fmt = AudioFormat(RATE_HZ)
    mic = PortAudioMicrophone(card, fmt, 480, watch, "int32", pps_channel=2, sleep_s=card.sleep_s)
    mic.read()
    watch.sleep_s(0.7)
    gap, block = mic.read(), mic.read()
    assert isinstance(gap, AudioGap)
    assert isinstance(block, AudioBlock)
    assert gap.lost == pytest.approx(0.7 * RATE_HZ, abs=480)
    assert abs(block.first_sample - int(block.samples[0])) <= 2
    assert block.pps is not None
    assert np.array_equal(block.pps, -block.samples)


ALSA_FILE_DEVICE = """
</usr/share/alsa/alsa.conf>
pcm.street {{
    type file
    slave.pcm "null"
    file "/dev/null"
    infile "{infile}"
    format "raw"
    hint {{ show on description "street" }}
}}
"""
LISTEN = """
import json, sys
from agent.adapters.host import SystemClock
from agent.adapters.microphone import open_portaudio
pps_channel = json.loads(sys.argv[1])
mic = open_portaudio("street", 48000, 480, SystemClock(), dtype="int16", pps_channel=pps_channel)
blocks = [mic.read() for _ in range(20)]
mic.close()
print(json.dumps([[block.samples.tolist(), (block.pps is not None) and block.pps.tolist()]
                  for block in blocks]))
"""


def listen(directory: Path, raw: np.ndarray, pps_channel: PpsChannel | None) -> list[np.ndarray]:
    """What twenty blocks hold on each channel when ALSA plays `raw` as a device."""
    if not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("no ALSA configuration (/usr/share/alsa/alsa.conf) on this host")
    (directory / "ref.raw").write_bytes(raw.tobytes())
    config = directory / "alsa.conf"
    config.write_text(ALSA_FILE_DEVICE.format(infile=directory / "ref.raw"))
    listener = subprocess.run(
        [sys.executable, "-c", LISTEN, json.dumps(pps_channel)],
        env={**os.environ, "ALSA_CONFIG_PATH": str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "install libportaudio2" in listener.stderr:
        pytest.skip("libportaudio2 is not installed")
    assert listener.returncode == 0, listener.stderr
    return [np.ravel(channel) for channel in zip(*json.loads(listener.stdout), strict=True)]


@pytest.mark.system
def test_the_real_portaudio_path_is_bit_exact(tmp_path: Path) -> None:
    """Samples that ALSA hands to PortAudio arrive unchanged through the blocking reads."""
    heard, pulses = listen(tmp_path, ramp(20_000), None)
    assert np.array_equal(heard, ramp(20 * 480))
    assert not pulses.any()


@pytest.mark.system
@pytest.mark.parametrize(("pps_channel", "sign"), [(1, -1), (2, 1)])
def test_the_real_portaudio_path_splits_two_channels(
    tmp_path: Path, pps_channel: PpsChannel, sign: int
) -> None:
    """Two channels are opened when one carries pulses, and neither gets samples of the other."""
    heard, pulses = listen(tmp_path, two_channels(20_000), pps_channel)
    assert np.array_equal(heard, sign * ramp(20 * 480))
    assert np.array_equal(pulses, -sign * ramp(20 * 480))


def test_a_device_that_is_not_there_is_one_line() -> None:
    """A wrong device name is told by name; where PortAudio is missing, that is told instead."""
    with pytest.raises(MicrophoneError) as caught:
        open_portaudio("no such microphone", RATE_HZ, 480, Stopwatch())
    if caught.value.condition != "broken":
        assert str(caught.value).startswith("portaudio:no such microphone: no such device")
        assert caught.value.condition == "absent"
    assert "\n" not in str(caught.value)
