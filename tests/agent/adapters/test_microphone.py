"""A sound file as a microphone: whole, bit exact and paced in real time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.adapters.microphone import FileMicrophone, PpsChannel
from agent.core.audio import AudioFormat
from agent.core.units import NS_PER_S
from agent.errors import AudioError
from tests.support.card import RATE_HZ, Stopwatch, ramp, two_channels


def write(path: Path, samples: np.ndarray, subtype: str = "PCM_16", rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_file_arrives_whole_in_order_and_bit_exact(tmp_path: Path, name: str) -> None:
    """Every sample of the file is heard once, whatever the block size leaves for the end."""
    watch = Stopwatch()
    mic = FileMicrophone(write(tmp_path / name, ramp(2500)), 1024, watch, watch.sleep_s)
    blocks = list(iter(mic.read, None))
    mic.close()
    assert [block.first_sample for block in blocks] == [0, 1024, 2048]
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), ramp(2500))
    assert blocks[0].samples.dtype == np.int16
    assert mic.format == AudioFormat(RATE_HZ)


@pytest.mark.parametrize("oversleep_ns", [0, 3_000_000])
def test_a_block_is_never_early_and_lateness_does_not_add_up(
    tmp_path: Path, oversleep_ns: int
) -> None:
    """The file plays at its own rate: one-sided delay, no drift."""
    watch = Stopwatch(oversleep_ns)
    start_ns = watch.now_ns
    mic = FileMicrophone(write(tmp_path / "a.wav", ramp(30_000)), 512, watch, watch.sleep_s)
    for block in iter(mic.read, None):
        due_ns = start_ns + block.end_sample * NS_PER_S / RATE_HZ
        assert 0 <= block.host_ns - due_ns <= oversleep_ns + 1
    mic.close()


def test_24_bit_samples_keep_every_bit(tmp_path: Path) -> None:
    """24-bit files come as int32 at the same full scale."""
    samples = (np.arange(-500, 500, dtype=np.int32) * 16_001) << 8
    watch = Stopwatch()
    mic = FileMicrophone(write(tmp_path / "a.wav", samples, "PCM_24"), 4096, watch, watch.sleep_s)
    block = mic.read()
    mic.close()
    assert block is not None
    assert block.samples.dtype == np.int32
    assert np.array_equal(block.samples, samples)


@pytest.mark.parametrize(("pps_channel", "sign"), [(1, -1), (2, 1)])
def test_pulses_come_beside_the_microphone(
    tmp_path: Path, pps_channel: PpsChannel, sign: int
) -> None:
    """Of two channels the named one holds the pulses; both come whole, sample by sample."""
    watch = Stopwatch()
    path = write(tmp_path / "a.flac", two_channels(2500))
    mic = FileMicrophone(path, 1024, watch, watch.sleep_s, pps_channel=pps_channel)
    blocks = list(iter(mic.read, None))
    mic.close()
    heard = np.concatenate([block.samples for block in blocks])
    pulses = np.concatenate([block.pps for block in blocks])
    assert np.array_equal(heard, sign * ramp(2500))
    assert np.array_equal(pulses, -sign * ramp(2500))
    assert blocks[0].samples.flags.c_contiguous
    assert blocks[0].pps.flags.c_contiguous


@pytest.mark.parametrize("channels", [1, 3])
def test_pulses_need_a_channel_of_their_own(tmp_path: Path, channels: int) -> None:
    """A file without a second channel, or with more, is told by name, with the remedy."""
    path = write(tmp_path / "a.wav", np.zeros((99, channels), np.int16))
    with pytest.raises(AudioError, match=rf"a\.wav: has {channels} channel.* leave it out"):
        FileMicrophone(path, 1024, Stopwatch(), pps_channel=2)


def broken_files(directory: Path) -> dict[str, Path]:
    made = {
        "no such": directory / "missing.wav",
        "zero length": write(directory / "empty.wav", ramp(0)),
        "not a WAV": directory / "text.wav",
        "2 channels": write(directory / "stereo.wav", np.zeros((9, 2), np.int16)),
        "FLOAT": write(directory / "float.wav", np.zeros(9, np.float32), "FLOAT"),
        "8000 Hz": write(directory / "slow.wav", ramp(9), rate_hz=8000),
        "need WAV or FLAC": write(directory / "other.aiff", ramp(9)),
        "headerless": directory / "samples.raw",
    }
    made["not a WAV"].write_text("hello\n")
    made["headerless"].write_bytes(bytes(64))
    return made


def test_a_file_of_no_use_is_refused_in_one_line_that_names_it(tmp_path: Path) -> None:
    """Missing, empty, foreign, many-channelled or slow: one line, the file and the fault."""
    for fault, path in broken_files(tmp_path).items():
        with pytest.raises(AudioError) as caught:
            FileMicrophone(path, 1024, Stopwatch())
        told = str(caught.value)
        assert told.startswith(f"{path}: ")
        assert "\n" not in told
        assert fault in told or fault == "headerless"


def test_a_damaged_flac_is_an_error_and_not_a_silent_end(tmp_path: Path) -> None:
    """A file that breaks off in the middle is told by name, not taken for its end."""
    noise = np.random.default_rng(1).integers(-9000, 9000, 50_000).astype(np.int16)
    path = write(tmp_path / "a.flac", noise)
    path.write_bytes(path.read_bytes()[:40_000])
    watch = Stopwatch()
    mic = FileMicrophone(path, 4096, watch, watch.sleep_s)
    with pytest.raises(AudioError, match=r"a\.flac: "):
        list(iter(mic.read, None))
    mic.close()


def test_a_closed_microphone_is_at_its_end(tmp_path: Path) -> None:
    """After close, read returns None, and closing twice is harmless."""
    watch = Stopwatch()
    mic = FileMicrophone(write(tmp_path / "a.wav", ramp(5000)), 1024, watch, watch.sleep_s)
    assert mic.read() is not None
    mic.close()
    mic.close()
    assert mic.read() is None
