"""The self-test of hearing: green where a shot is heard beside any street, red where none is."""

import io
from collections.abc import Callable
from pkgutil import get_data

import numpy as np
import pytest

from agent.core.audio import AudioFormat
from agent.core.hearing import Hearing, classification
from agent.core.hearing.classification import UNSCORED
from agent.core.hearing.classifier import read_model
from agent.core.hearing.selftest import BED_S, about_hearing, quiet_bed, self_test
from tests.support import deafness as made
from tests.support.sound import add_blast, as_int16, hear, noise

RATE_HZ = 12_000
WHOLE = get_data("agent.models", classification.MODEL_FILE) or b""


def damaged(damage: Callable[[dict[str, np.ndarray]], object]) -> bytes:
    """The shipped model after something happened to its numbers."""
    with np.load(io.BytesIO(WHOLE)) as held:
        arrays = {name: held[name].copy() for name in held.files}
    damage(arrays)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def shot() -> np.ndarray:
    sound = noise(3.0)
    add_blast(sound, 100_000.5, 0.3)
    return sound


def zeroed(arrays: dict[str, np.ndarray]) -> None:
    for array in arrays.values():
        array[...] = 0


def turned(arrays: dict[str, np.ndarray]) -> None:
    arrays["weights"] *= -1


def not_numbers(arrays: dict[str, np.ndarray]) -> None:
    arrays["weights"][:] = np.nan


MODELS = {
    "a file of zeros": (bytes(len(WHOLE)), "model-scores-nothing"),
    "an empty file": (b"", "model-scores-nothing"),
    "half a file": (WHOLE[: len(WHOLE) // 2], "model-scores-nothing"),
    "zeroed weights": (damaged(zeroed), "model-scores-nothing"),
    "weights of the wrong sign": (damaged(turned), "model-scores-nothing"),
    "weights that are no numbers": (damaged(not_numbers), "model-scores-nothing"),
    "one array missing": (damaged(lambda one: one.pop("scale")), "model-scores-nothing"),
    "another shape": (
        damaged(lambda one: one.update(weights=one["weights"][:-1])),
        "model-scores-nothing",
    ),
}
BEDS = {
    "street": lambda rate: made.street(BED_S, rate),
    "loud street": lambda rate: made.street(BED_S, rate, -15.0),
    "storm": lambda rate: made.storm(BED_S, rate),
    "hum": lambda rate: made.hum(BED_S, rate, level_db=-20.0),
    "zeros": lambda rate: made.constant(BED_S, rate, 0.0),
    "rail": lambda rate: made.constant(BED_S, rate, -1.0),
}


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_good_path_is_healthy_beside_any_street(rate_hz: int) -> None:
    """Whatever the microphone makes of the street: this is about the path behind it."""
    for name, bed in BEDS.items():
        outcome = self_test(AudioFormat(rate_hz), bed(rate_hz))
        assert about_hearing(outcome).status == "healthy", (name, outcome)
    assert about_hearing(self_test(AudioFormat(rate_hz), quiet_bed(rate_hz))).status == "healthy"


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model_is_critical(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And named: the remedy is to install the agent anew, not to change the microphone."""
    content, fault = MODELS[name]
    monkeypatch.setattr(classification, "shipped_model", lambda: read_model(content))
    finding = about_hearing(self_test(AudioFormat(RATE_HZ), quiet_bed(RATE_HZ)))
    assert (finding.fault, finding.status) == (fault, "critical")
    assert finding.part == "software"


def test_a_node_with_a_broken_model_is_not_deafened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard plainly goes out, without a score, for the centre to judge."""
    monkeypatch.setattr(classification, "shipped_model", lambda: read_model(b""))
    onsets = hear(as_int16(shot()))
    assert [(one.verdict.accepted, one.verdict.reason) for one in onsets] == [(True, UNSCORED)]


def test_a_path_that_is_broken_otherwise_is_critical() -> None:
    """It fails, or it hears nothing: `deaf`."""

    class Deaf(Hearing):
        def on_block(self, block):
            return []

    def fails(fmt: AudioFormat) -> Hearing:
        raise RuntimeError("no more memory")

    for ears in (Deaf, fails):
        finding = about_hearing(self_test(AudioFormat(RATE_HZ), quiet_bed(RATE_HZ), ears))
        assert (finding.fault, finding.status) == ("deaf", "critical")
