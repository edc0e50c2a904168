"""Microphones: files paced in real time, and a device that loses samples."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.adapters.microphone import FileMicrophone, PortAudioMicrophone, open_portaudio
from agent.core.audio import AudioBlock, AudioFormat, AudioGap
from agent.core.units import NS_PER_S
from agent.errors import AudioError

RATE_HZ = 48_000


class Stopwatch:
    """Host time that passes only when someone sleeps, and a little on every wake-up."""

    def __init__(self, oversleep_ns: int = 0) -> None:
        self.now_ns = 5 * NS_PER_S
        self.oversleep_ns = oversleep_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.now_ns

    def sleep_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S) + self.oversleep_ns


def ramp(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int16)


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


class Converter:
    """A sound card: sample k holds the value k, and a full ring buffer loses all it holds."""

    def __init__(self, watch: Stopwatch, ring_samples: int) -> None:
        self.watch, self.ring_samples = watch, ring_samples
        self.start_ns = watch.now_ns
        self.tail = 0
        self.unplugged = self.closed = False

    @property
    def captured(self) -> int:
        return (self.watch.now_ns - self.start_ns) * RATE_HZ // NS_PER_S

    @property
    def read_available(self) -> int:
        return self.captured - self.tail

    def read(self, frames: int) -> tuple[bytes, bool]:
        if self.unplugged:
            raise RuntimeError("Unanticipated host error [PaErrorCode -9999]")
        overflowed = self.read_available > self.ring_samples
        if overflowed:
            self.tail = self.captured
        missing = frames - self.read_available
        if missing > 0:
            self.watch.sleep_s(missing / RATE_HZ + 1e-9)
        first, self.tail = self.tail, self.tail + frames
        return np.arange(first, first + frames, dtype=np.int32).tobytes(), overflowed

    def close(self) -> None:
        self.closed = True


def plug_in(watch: Stopwatch, ring_samples: int = 9600) -> tuple[PortAudioMicrophone, Converter]:
    card = Converter(watch, ring_samples)
    return PortAudioMicrophone(card, AudioFormat(RATE_HZ), 480, watch, "int32"), card


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
    """Losing the device is an AudioError with a remedy; closing then still works."""
    mic, card = plug_in(Stopwatch())
    card.unplugged = True
    with pytest.raises(AudioError, match=r"microphone lost: .*check its cable"):
        mic.read()
    mic.close()
    mic.close()
    assert card.closed
    assert mic.read() is None


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
from agent.adapters.host import SystemClock
from agent.adapters.microphone import open_portaudio
mic = open_portaudio("street", 48000, 480, SystemClock(), dtype="int16")
blocks = [mic.read() for _ in range(20)]
mic.close()
print(*(sample for block in blocks for sample in block.samples))
"""


def test_the_real_portaudio_path_is_bit_exact(tmp_path: Path) -> None:
    """Samples that ALSA hands to PortAudio arrive unchanged through the blocking reads."""
    if not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("no ALSA configuration (/usr/share/alsa/alsa.conf) on this host")
    (tmp_path / "ref.raw").write_bytes(ramp(20_000).tobytes())
    config = tmp_path / "alsa.conf"
    config.write_text(ALSA_FILE_DEVICE.format(infile=tmp_path / "ref.raw"))
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(config)}
    listener = subprocess.run(
        [sys.executable, "-c", LISTEN],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "install libportaudio2" in listener.stderr:
        pytest.skip("libportaudio2 is not installed")
    assert listener.returncode == 0, listener.stderr
    heard = np.array(listener.stdout.split(), dtype=int)
    assert np.array_equal(heard, ramp(len(heard)))
    assert len(heard) == 20 * 480


def test_a_device_that_is_not_there_is_one_line() -> None:
    """A wrong device name is told by name, and so is a missing PortAudio."""
    with pytest.raises(AudioError, match="portaudio:no such microphone: ") as caught:
        open_portaudio("no such microphone", RATE_HZ, 480, Stopwatch())
    assert "\n" not in str(caught.value)
