"""Reads a folder of labelled clips: `manifest.csv`, and the sound files that it names.

Only the columns that scoring needs are interpreted. What the labels are worth is the folder's
own matter; a clip whose onsets are known less well says so in `onset_accuracy_ms`.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from agent.errors import EarshotError

LEAST_ACCURACY_S = 10e-3
_COLUMNS = ("file", "label", "class", "impulsive", "licence", "group_id", "onset_times_s")
_FREE_LICENCES = ("CC0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY (", "Public domain")

Pcm = npt.NDArray[np.int16]


class CorpusError(EarshotError):
    """A manifest or clip is missing or broken; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled clip. Times are seconds from its first sample.

    `onsets_s` are the shots, empty for negatives; `secondary_s` are muzzle blasts that follow a
    shock wave: right to report, not asked for. A shot is found within `accuracy_s`.
    """

    name: str
    path: Path
    kind: str
    is_shot: bool
    is_impulsive: bool
    licence: str
    group: str
    onsets_s: tuple[float, ...]
    secondary_s: tuple[float, ...]
    accuracy_s: float

    @property
    def is_free(self) -> bool:
        """True where the licence lets what was learned from it be used in any way."""
        return self.licence.startswith(_FREE_LICENCES)

    def digest(self) -> str:
        """Of the sound and all that the manifest says of it. Raises CorpusError."""
        try:
            sound = hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise CorpusError(f"{self.path}: cannot be read: {error.strerror}") from None
        said = (self.name, self.kind, self.group, self.licence, self.onsets_s, self.secondary_s)
        return hashlib.sha256(repr((sound, *said, self.accuracy_s)).encode()).hexdigest()

    def read(self) -> tuple[Pcm, int]:
        """Samples, shape (n,), and their rate in Hz. Raises CorpusError."""
        try:
            samples, rate_hz = soundfile.read(self.path, dtype="int16", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise CorpusError(f"{self.path}: not a readable sound file ({error})") from None
        if samples.shape[1] != 1:
            raise CorpusError(f"{self.path}: has {samples.shape[1]} channels; clips are mono")
        if not samples.any():
            raise CorpusError(f"{self.path}: holds no sound; take it out of the manifest")
        return np.ascontiguousarray(samples[:, 0]), int(rate_hz)


def load(directory: Path) -> list[Clip]:
    """All clips of `directory`, in the manifest's order. Raises CorpusError."""
    path = directory / "manifest.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a readable manifest ({error})") from None
    if not rows:
        raise CorpusError(f"{path}: names no clip")
    lacking = [name for name in _COLUMNS if name not in rows[0]]
    if lacking:
        raise CorpusError(f"{path}: has no column {', '.join(lacking)}")
    return [_clip(directory, path, number, row) for number, row in enumerate(rows, start=2)]


def _clip(directory: Path, manifest: Path, line: int, row: dict[str, str]) -> Clip:
    try:
        onsets_s = _times(row["onset_times_s"])
        secondary_s = _times(row.get("secondary_times_s") or "")
        accuracy_s = float(row.get("onset_accuracy_ms") or 0.0) / 1e3
    except (ValueError, AttributeError):
        raise CorpusError(f"{manifest}: line {line}: a time is no number") from None
    is_shot = row["label"] == "gunshot"
    if is_shot != bool(onsets_s):
        raise CorpusError(f"{manifest}: line {line}: shots need onsets, other sounds have none")
    return Clip(
        name=row["file"],
        path=directory / row["file"],
        kind=row["class"],
        is_shot=is_shot,
        is_impulsive=row["impulsive"] == "yes",
        licence=row["licence"],
        group=row["group_id"],
        onsets_s=onsets_s,
        secondary_s=secondary_s,
        accuracy_s=max(accuracy_s, LEAST_ACCURACY_S),
    )


def _times(text: str) -> tuple[float, ...]:
    return tuple(float(one) for one in text.split(";") if one)
