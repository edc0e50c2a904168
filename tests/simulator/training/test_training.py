"""Teaching the verdict: licences are kept, groups are never split, one seed gives one result."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.core.hearing.classifier import INPUTS, read_model
from simulator.training import recorders, scenes, takes
from simulator.training.takes import Take
from simulator.trials.corpus.folds import FOLDS, fold_of
from simulator.trials.corpus.manifest import Clip
from tests.support.sound import add_blast, noise

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from simulator.training import examples, fit

RATE_HZ = 24_000


def clip(directory: Path, licence: str, name: str = "shot") -> Clip:
    sound = noise(0.6, seed=4, rms=0.001, rate_hz=RATE_HZ)
    add_blast(sound, 0.2 * RATE_HZ, 0.5, rate_hz=RATE_HZ)
    path = directory / f"{name}.flac"
    soundfile.write(path, sound, RATE_HZ)
    return Clip(
        name=path.name, path=path, kind="gunshot", is_shot=True, is_impulsive=True,
        licence=licence, group=name, onsets_s=(0.2,), secondary_s=(), accuracy_s=0.01,
    )  # fmt: skip


def table(seed: int, count: int = 400) -> fit.Table:
    """Shots differ from other sounds in two of the inputs, by as much as they scatter."""
    rng = np.random.default_rng(seed)
    is_shot = rng.random(count) < 0.5
    inputs = rng.normal(0.0, 1.0, (count, INPUTS))
    inputs[:, :2] += 3.0 * is_shot[:, None]
    folds = rng.integers(0, FOLDS, count)
    return fit.Table(inputs, rng.uniform(5, 50, count), is_shot, np.full(count, 1 / count), folds)


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("CC0-1.0", True),
        ("CC-BY-3.0", True),
        ("Public domain", True),
        ("CC-BY-NC-3.0 (UrbanSound8K)", False),
        ("CC-BY-SA-4.0", False),
        ("", False),
    ],
)
def test_only_free_clips_are_learned_from(tmp_path: Path, licence: str, free: bool) -> None:
    """A clip whose licence asks for anything but attribution leaves no example."""
    one = clip(tmp_path, licence)
    assert one.is_free == free
    made = takes.of_clips([one], np.random.default_rng(1), of_shot=1, of_other=1, of_burst=0)
    assert len(list(made)) == free


def test_a_disguise_keeps_the_shot_where_it_says(tmp_path: Path) -> None:
    """Whatever a disguise does, hearing finds the labelled onset in most takes."""
    made = list(takes.of_clip(clip(tmp_path, "CC0-1.0"), 12, np.random.default_rng(3)))
    found = list(examples.examples("clips", made, np.random.default_rng(4)))
    assert len({one.take for one in found if one.is_shot}) >= 9


def test_bursts_hold_as_many_shots_as_they_say(tmp_path: Path) -> None:
    """Rounds are at least 40 ms apart after any change of speed, and inside the sound."""
    for take in takes.bursts(clip(tmp_path, "CC0-1.0"), 5, np.random.default_rng(5)):
        assert 2 <= len(take.shots_s) <= 20
        assert np.diff(take.shots_s).min() > 0.03
        assert take.shots_s[-1] * take.rate_hz < len(take.sound)


def test_scenes_come_from_the_generator_they_are_given() -> None:
    """The same generator gives the same scenes; shots have onsets and confusers have none."""
    for make in (scenes.shots, scenes.confusers):
        first = list(make(7, np.random.default_rng(6)))
        again = list(make(7, np.random.default_rng(6)))
        assert all(np.array_equal(a.sound, b.sound) for a, b in zip(first, again, strict=True))
        assert all(bool(one.shots_s) == (make is scenes.shots) for one in first)
        assert all(isinstance(one, Take) and np.isfinite(one.sound).all() for one in first)


def test_fitting_learns_repeats_and_survives_the_file() -> None:
    """A fit tells unseen examples apart, is the same again, and the file says the same."""
    rows, fresh = table(1), table(2)
    every = np.ones(len(rows.is_shot), np.bool_)
    fitted = fit.fit(rows, every)
    unseen = fitted.log_odds(fresh.inputs)
    line = fit.calibrated(unseen, fresh, every)
    assert np.mean((unseen > np.median(unseen)) == fresh.is_shot) > 0.9
    published = line.published(unseen, fresh)
    assert np.mean(published[fresh.is_shot]) == pytest.approx(fit.RECALL_WANTED, abs=0.01)
    data = fitted.as_bytes(line)
    assert fit.fit(rows, every).as_bytes(line) == data
    model = read_model(data)
    assert model.weights.shape == (INPUTS,)
    assert model.threshold == pytest.approx(line.threshold, abs=1e-6)
    assert model.dearer_per_db == pytest.approx(fit.DEARER_PER_DB)


def test_recorders_colour_a_sound_and_never_begin_before_it() -> None:
    """Tone controls, automatic gain and drift are causal, finite, and differ from take to take."""
    sound = np.zeros(RATE_HZ)
    sound[RATE_HZ // 2 :] = noise(0.5, seed=5, rate_hz=RATE_HZ)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kept = recorders.pushed_off_zero(recorders.recorded(sound, RATE_HZ, rng), RATE_HZ, rng)
        assert kept.shape == sound.shape
        assert np.isfinite(kept).all()
        assert not kept[: RATE_HZ // 2].any()
        assert kept[RATE_HZ // 2 :].any()


def test_a_group_has_one_fold() -> None:
    """Folds depend on the group's name alone and all of them are used."""
    assert {fold_of(f"group {number}") for number in range(60)} == set(range(FOLDS))
