"""Reads the public live-fire dataset (ShotSpotter Tech Note 098 layout) into plain values.

One folder per firing position, one per test in it, JSON and 12 kHz WAV files inside. Nothing is
interpreted here: removing the padding is `neutralise`, truth for the score is `truth`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from agent.core.units import parse_rfc3339_ns
from agent.errors import EarshotError

RATE_HZ = 12_000
Vector = npt.NDArray[np.float64]


class DatasetError(EarshotError):
    """A file of the dataset is missing or broken; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse of the recording system. Never shown to nodes or locator."""

    uuid: str
    sensor: str
    arrival_utc_ns: int
    position_m: Vector


@dataclass(frozen=True, slots=True)
class Recording:
    """One sensor's file: int16 samples from `start_utc_ns` on, zero-padded, and its raw GPS fix."""

    sensor: str
    path: Path
    start_utc_ns: int
    samples: npt.NDArray[np.int16]
    raw_fix_m: Vector


@dataclass(frozen=True, slots=True)
class Test:
    """One test: 1 or 3 rounds fired from one position, and what was recorded of it."""

    position: str
    name: str
    rounds: int
    survey_m: Vector
    temperature_c: float
    recordings: tuple[Recording, ...]
    pulses: tuple[Pulse, ...]
    tuples: tuple[tuple[str, ...], ...]


def load(directory: Path, positions: frozenset[str] | None = None) -> list[Test]:
    """All tests below `directory` (optionally only at some firing positions), sorted by name.

    Raises DatasetError for anything missing or broken.
    """
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no such folder; give the dataset's folder")
    surveys = sorted(directory.rglob("test_*.survey.json"))
    if not surveys:
        raise DatasetError(f"{directory}: holds no test_*.survey.json; is it the dataset's folder?")
    tests = [_load_test(path) for path in surveys if _wanted(path, positions)]
    if positions:
        unknown = positions - {test.position for test in tests}
        if unknown:
            raise DatasetError(f"{directory}: no firing position {', '.join(sorted(unknown))}")
    return tests


def _wanted(survey: Path, positions: frozenset[str] | None) -> bool:
    return positions is None or _text(_json(survey), "firing_position", survey) in positions


def _load_test(survey_path: Path) -> Test:
    folder, name = survey_path.parent, survey_path.name.split(".")[0]
    survey = _json(survey_path)
    weather_path = folder / f"{name}.weather.json"
    pulses_path = folder / f"{name}.allpulses.json"
    tuples_path = folder / f"{name}.nlos-tuples.json"
    recordings = tuple(_recordings(folder, name))
    if not recordings:
        raise DatasetError(f"{folder}: {name} has no audio files")
    return Test(
        position=_text(survey, "firing_position", survey_path),
        name=name,
        rounds=int(_number(survey, "num_rounds", survey_path)),
        survey_m=_vector(survey, "survey_location", survey_path),
        temperature_c=_number(_json(weather_path), "temperature", weather_path),
        recordings=recordings,
        pulses=tuple(_pulse(entry, pulses_path) for entry in _list(pulses_path)),
        tuples=tuple(
            tuple(_field(entry, "pulse_uuids", tuples_path)) for entry in _list(tuples_path)
        ),
    )


def _recordings(folder: Path, name: str) -> Iterator[Recording]:
    descriptions = {path.stem for path in folder.glob(f"{name}.audio.*.json")}
    sounds = {path.stem for path in folder.glob(f"{name}.audio.*.wav")}
    for stem in sorted(descriptions ^ sounds):
        lacking = "wav" if stem in descriptions else "json"
        raise DatasetError(f"{folder / stem}.{lacking}: missing beside its counterpart")
    for stem in sorted(descriptions):
        path = folder / f"{stem}.json"
        about = _json(path)
        sound_path = folder / f"{stem}.wav"
        yield Recording(
            sensor=_text(about, "serial_number", path),
            path=sound_path,
            start_utc_ns=_time(about, "timestamp", path),
            samples=_sound(sound_path),
            raw_fix_m=_vector(about, "location", path),
        )


def _sound(path: Path) -> npt.NDArray[np.int16]:
    try:
        samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DatasetError(f"{path}: not a readable sound file ({error})") from error
    if rate_hz != RATE_HZ:
        raise DatasetError(f"{path}: sampled at {rate_hz} Hz, the dataset is {RATE_HZ} Hz")
    if samples.shape[1] != 1:
        raise DatasetError(f"{path}: has {samples.shape[1]} channels, the dataset is mono")
    if not np.any(samples):
        raise DatasetError(f"{path}: holds no sound (length {len(samples)}, all zero)")
    return np.ascontiguousarray(samples[:, 0])


def _pulse(entry: Any, path: Path) -> Pulse:
    return Pulse(
        uuid=_text(entry, "pulse_uuid", path),
        sensor=_text(entry, "serial_number", path),
        arrival_utc_ns=_time(entry, "arrival_time_utc", path),
        position_m=_vector(entry, "location", path),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not readable JSON ({error})") from error


def _list(path: Path) -> list[Any]:
    entries = _json(path)
    if not isinstance(entries, list):
        raise DatasetError(f"{path}: should hold a list")
    return entries


def _field(entry: Any, name: str, path: Path) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise DatasetError(f"{path}: {name!r} is missing")
    return entry[name]


def _text(entry: Any, name: str, path: Path) -> str:
    value = _field(entry, name, path)
    if not isinstance(value, str) or not value:
        raise DatasetError(f"{path}: {name!r} should be a text, is {value!r}")
    return value


def _number(entry: Any, name: str, path: Path) -> float:
    value = _field(entry, name, path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DatasetError(f"{path}: {name!r} should be a number, is {value!r}")
    return float(value)


def _time(entry: Any, name: str, path: Path) -> int:
    text = _text(entry, name, path)
    try:
        return parse_rfc3339_ns(text)
    except ValueError as error:
        raise DatasetError(f"{path}: {name!r}: {error}") from None


def _vector(entry: Any, name: str, path: Path) -> Vector:
    value = _field(entry, name, path)
    return np.array([_number(value, axis, path) for axis in ("x", "y", "z")])
