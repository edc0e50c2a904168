"""A sound card made of `simmic.c`: it plays known sound, and tells what it truly lost."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from agent.adapters.microphone import sound_devices
from agent.core.units import NS_PER_S
from agent.errors import MicrophoneError

SOURCE = Path(__file__).with_name("simmic.c")
HEADER = Path("/usr/include/alsa/pcm_external.h")
ALSA_CONFIG = Path("/usr/share/alsa/alsa.conf")
DEVICE = "simmic"
CONFIG = """<{alsa}>
pcm_type.simmic {{ lib "{place}/{library}" }}
"""
SECTION = """pcm.{name} {{
    type simmic
    file "{place}/{name}.raw"
    ctl "{place}/{name}.ails"
    format "{sample_format}"
    rate {rate_hz}
    ppm {ppm}
    hint {{ show on description "simmic" }}
}}
"""
Ailment = Literal["unplugged", "busy", "mute", "hangs"]
"""As `simmic.c` has them by their first letters."""


@dataclass(frozen=True)
class Loss:
    """`lost` frames are missing from the index `first` on."""

    first: int
    lost: int


class Card:
    """The card `name` in `directory`, playing `sound` round and round; or a skip.

    int16 samples are played as they are, int32 ones as `sample_format` has them. A process that
    sees the directory elsewhere, as in a container, sees it in `place`.
    """

    def __init__(
        self,
        directory: Path,
        sound: np.ndarray,
        rate_hz: int,
        ppm: float,
        *,
        name: str = DEVICE,
        sample_format: str = "S16_LE",
        place: Path | None = None,
    ) -> None:
        self._rate_hz = rate_hz * (1 + ppm * 1e-6)
        self._config, self._truth = directory / "alsa.conf", directory / "truth"
        self._ails = directory / f"{name}.ails"
        (directory / f"{name}.raw").write_bytes(_packed(sound, sample_format))
        library, seen = built(directory), place or directory
        if not self._config.exists():
            told = CONFIG.format(alsa=ALSA_CONFIG, place=seen, library=library.name)
            self._config.write_text(told)
        with self._config.open("a") as config:
            section = SECTION.format(
                name=name, place=seen, sample_format=sample_format, rate_hz=rate_hz, ppm=ppm
            )
            config.write(section)

    def ail(self, how: Ailment) -> None:
        """From now on."""
        self._ails.with_suffix(".new").write_text(how)
        self._ails.with_suffix(".new").replace(self._ails)

    def heal(self) -> None:
        """It is as new: plugged in, free, and converting."""
        self._ails.unlink(missing_ok=True)

    @property
    def env(self) -> dict[str, str]:
        """For a process that is to find it, and all others of the directory, as devices."""
        told = {"ALSA_CONFIG_PATH": str(self._config), "SIMMIC_TRUTH": str(self._truth)}
        return {**os.environ, **told}

    def losses(self) -> list[Loss]:
        """What it truly lost so far, between samples that were read."""
        return [loss for loss in self._all_losses() if loss.first > self.first_read()]

    def first_read(self) -> int:
        """The first sample that anybody read; those before it were lost to a slow start."""
        first = 0
        for loss in self._all_losses():
            if loss.first == first:
                first += loss.lost
        return first

    def _all_losses(self) -> list[Loss]:
        lost = re.findall(r"^lost (\d+) at (\d+)", self._truth.read_text(), re.MULTILINE)
        return [Loss(int(first), int(count)) for count, first in lost]

    def buffer_s(self) -> float:
        """The depth of the buffer that it gave."""
        return self._start()[1] / self._rate_hz

    def period_samples(self) -> int:
        """How many samples come before it wakes its reader."""
        return self._start()[2]

    def host_ns(self, sample: float) -> int:
        """When it truly converted a sample, by CLOCK_MONOTONIC."""
        return self._start()[0] + round(sample * NS_PER_S / self._rate_hz)

    def _start(self) -> tuple[int, int, int]:
        started = r"^start (\d+) buffer (\d+) period (\d+)$"
        ((host_ns, buffer, period),) = re.findall(started, self._truth.read_text(), re.MULTILINE)
        return int(host_ns), int(buffer), int(period)


def built(directory: Path) -> Path:
    """The plugin for ALSA; skips the test where there is nothing to build it with."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    if not (HEADER.exists() and ALSA_CONFIG.exists()):
        pytest.skip("libasound2-dev is not installed")
    library = directory / "libasound_module_pcm_simmic.so"
    if library.exists():
        return library
    warnings = ["-Wall", "-Wextra", "-Werror"]
    shared = ["-shared", "-fPIC", "-DPIC"]
    subprocess.run(
        ["gcc", "-O2", *warnings, *shared, "-o", library, SOURCE, "-lasound"], check=True
    )
    return library


def _packed(sound: np.ndarray, sample_format: str) -> bytes:
    """As the card's file has it: 24 bits are the upper ones of int32."""
    if sample_format != "S24_3LE":
        return sound.astype("<i2" if sample_format == "S16_LE" else "<i4").tobytes()
    return np.ascontiguousarray(sound.astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:]).tobytes()


def plugged_in(card: Card, patch: pytest.MonkeyPatch) -> None:
    """This process finds the card."""
    for name in ("ALSA_CONFIG_PATH", "SIMMIC_TRUTH"):
        patch.setenv(name, card.env[name])
    try:
        sound_devices()
    except MicrophoneError as error:
        pytest.skip(str(error))
