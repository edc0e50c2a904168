"""What the new models reach: told from kept soundings, by the same figures as `corpus` tells."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.hearing.classification import judged_by, shipped_model
from agent.core.hearing.classifier import Glance, Model
from agent.core.hearing.trees import NO_TREES
from simulator.trials.corpus.manifest import Clip
from tests.support.hearing import features_like

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from simulator.training import card, reach
from simulator.training.hearings import Sounding

COUNT = 12


def clip(kind: str = "gunshot", onsets_s: tuple[float, ...] = ()) -> Clip:
    return Clip(
        name=f"{kind}.flac", path=Path(f"{kind}.flac"), kind=kind, is_shot=bool(onsets_s),
        is_impulsive=True, licence="CC0-1.0", group=kind, onsets_s=onsets_s, secondary_s=(),
        accuracy_s=0.01,
    )  # fmt: skip


def sounding(shots_s: tuple[float, ...], spacing_ms: int = 0) -> Sounding:
    """One onset a second, each of another course, so that no two score alike."""
    rng = np.random.default_rng(3)
    courses = [tuple(rng.integers(-30, 10, 19).tolist()) for _ in range(COUNT)]
    return Sounding(
        clip_s=COUNT + 1.0,
        snr_db=30.0,
        spacing_ms=spacing_ms,
        shots_s=shots_s,
        at_s=tuple(float(one) for one in range(1, COUNT + 1)),
        features=tuple(features_like(-10.0, one) for one in courses),
    )


SHOTS_S = tuple(float(one) for one in range(1, COUNT + 1))
SHOT, DOOR = clip(onsets_s=SHOTS_S), clip("door")


def shipped(_clip: Clip | None = None) -> Model:
    """It looks at everything: made-up sound would not survive a glance."""
    return replace(shipped_model(), glance=Glance(NO_TREES, -np.inf))


def test_a_recall_that_is_asked_for_is_reached_and_not_by_much() -> None:
    """At the threshold that is found the share is published; a little above it is not."""
    heard = [[sounding(SHOTS_S)]]
    found = reach.threshold_for(0.5, [SHOT], heard, shipped)
    told = [
        reach.reached([SHOT], heard, lambda _clip, least=least: reach.at(least, shipped()))
        for least in (found, 1.02 * found)
    ]
    assert told[0]["shot_recall"] >= 0.5 > told[1]["shot_recall"]


def test_the_figures_are_those_of_the_verdicts() -> None:
    """A clip's best score is that of its best onset; bursts made of it count as such."""
    heard = [[sounding(SHOTS_S), sounding(SHOTS_S, 45)], [sounding(())]]
    told = reach.reached([SHOT, DOOR], heard, shipped)
    accepted = [judged_by(shipped(), one).accepted for one in sounding(()).features]
    assert told["shot_recall"] == pytest.approx(np.mean(accepted), abs=1e-4)
    assert told["rapid_fire_recall_by_ms"] == {45: told["shot_recall"]}
    assert told["confuser_clip_rate"] == float(any(accepted))


def figures(per_class: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"per_class": per_class}


def test_what_training_lacks_is_told_worst_first() -> None:
    """By share of clips with a candidate; shots are none of it, and two clips say nothing."""
    few = {"clips": 2, "clip_rate": 1.0}
    told = {
        "one": figures({"bell": {"clips": 5, "clip_rate": 0.2}, "owl": few}),
        "two": figures({
            "door": {"clips": 9, "clip_rate": 0.9},
            "gunshot": {"clips": 9, "clip_rate": 1.0, "recall": 1.0},
        }),
    }  # fmt: skip
    assert reach.missing(told) == [("two", "door", "9", "90%"), ("one", "bell", "5", "20%")]


def test_the_card_keeps_what_people_wrote(tmp_path: Path) -> None:
    """Only what stands between the marks is written anew, as often as one likes."""

    class Told:
        def lines(self) -> list[str]:
            return ["| 1 |", "| 2 |"]

    path = tmp_path / "card.md"
    path.write_text(f"before\n{card.BEGIN}\nold\n{card.END}\nafter\n")
    for _ in range(2):
        card.renew(path, Told(), Told())  # type: ignore[arg-type]
        assert path.read_text() == (
            f"before\n{card.BEGIN}\n| 1 |\n| 2 |\n\n| 1 |\n| 2 |\n{card.END}\nafter\n"
        )
