"""Teaching the verdict: licences are kept, groups are never split, one seed gives one result."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.core.hearing.classifier import read_model
from agent.core.hearing.inputs import INPUTS
from simulator.training import recorders, scenes, takes
from simulator.training.takes import Take
from simulator.trials.corpus.folds import FOLDS, fold_of
from simulator.trials.corpus.manifest import Clip
from tests.support.sound import add_blast, noise

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.ensemble import HistGradientBoostingClassifier

from simulator.training import boosted, examples, fit, judging
from simulator.training.cache import Shelf
from simulator.training.table import Table
from simulator.trials.corpus.folds import without_file

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


def table(seed: int, count: int = 600) -> Table:
    """Shots differ from other sounds in two of the inputs, by as much as they scatter."""
    rng = np.random.default_rng(seed)
    is_shot = rng.random(count) < 0.5
    inputs = rng.normal(0.0, 1.0, (count, INPUTS)).astype(np.float32)
    inputs[:, :2] += 3.0 * is_shot[:, None]
    return Table(
        inputs=inputs,
        snr_db=rng.uniform(5, 50, count),
        is_shot=is_shot,
        weights=np.full(count, 1 / count),
        folds=rng.integers(0, FOLDS, count),
        folders=rng.choice(("one", "two"), count),
        sources=np.full(count, "clips"),
        kinds=np.full(count, "gunshot"),
    )


SMALL = boosted.Growth(trees=20, depth=3, rate=0.2, share=0.5)


def lesson(made: list[Take]) -> examples.Lesson:
    return examples.Lesson("clips", "folder", "shot", "digest", lambda _rng: made)


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
    names = [work.name for work in examples.lessons({"folder": [one]}, ()) if work.folder]
    assert names == [one.name, f"{examples.BURSTS} {one.name}"] * free


def test_a_disguise_keeps_the_shot_where_it_says(tmp_path: Path) -> None:
    """Whatever a disguise does, hearing finds the labelled onset in most takes."""
    made = list(takes.of_clip(clip(tmp_path, "CC0-1.0"), 12, np.random.default_rng(3)))
    found = list(examples.examples(lesson(made), made, np.random.default_rng(4)))
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
        first = list(make(0, 19, np.random.default_rng(6)))
        again = list(make(0, 19, np.random.default_rng(6)))
        assert all(np.array_equal(a.sound, b.sound) for a, b in zip(first, again, strict=True))
        assert all(bool(one.shots_s) == (make is scenes.shots) for one in first)
        assert all(isinstance(one, Take) and np.isfinite(one.sound).all() for one in first)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_a_node_walks_the_trees_that_were_grown(depth: int) -> None:
    """Complete trees of arrays add up to what the trainer says, leaves near the root included."""
    rows = table(3)
    learner = HistGradientBoostingClassifier(
        max_iter=30, max_depth=depth, max_leaf_nodes=max(2, 2**depth - 2), min_samples_leaf=30
    )
    learner.fit(rows.inputs, rows.is_shot)
    walked = boosted.handed_over(learner, depth).log_odds(rows.inputs)
    assert walked == pytest.approx(learner.decision_function(rows.inputs), abs=1e-6)


def test_fitting_learns_repeats_and_survives_the_file() -> None:
    """A fit tells unseen examples apart, is the same again, and the file says the same."""
    rows, fresh, mixture = table(1), table(2), fit.Mixture(1.0, 0.5)
    every = np.ones(len(rows.is_shot), np.bool_)
    fitted = fit.fit(rows, every, SMALL)
    unseen = mixture.of(*fitted.log_odds(fresh.inputs))
    line = fit.calibrated(unseen, fresh)
    assert np.mean((unseen > np.median(unseen)) == fresh.is_shot) > 0.9
    shots = unseen[fresh.is_shot], fresh.snr_db[fresh.is_shot]
    line = line.keeping(0.9, *shots)
    assert np.mean(line.published(*shots)) == pytest.approx(0.9, abs=0.01)
    data = fitted.as_bytes(mixture, line)
    assert fit.fit(rows, every, SMALL).as_bytes(mixture, line) == data
    model = read_model(data)
    said = model.log_odds(fresh.inputs)
    assert said == pytest.approx(line.slope * unseen + line.offset, abs=1e-3)
    assert model.threshold == pytest.approx(line.threshold, abs=1e-6)
    assert model.dearer_per_db == pytest.approx(fit.DEARER_PER_DB)


def test_what_was_heard_is_kept_until_anything_that_it_follows_from_changes(tmp_path: Path) -> None:
    """A second run makes nothing anew; another seed or another digest does; broken files too."""
    calls = list[str]()

    def make() -> list[int]:
        calls.append("made")
        return [1, 2]

    shelf = Shelf(tmp_path)
    for follows in (("a", "1"), ("a", "1"), ("a", "2"), ("a1", "")):
        assert shelf.kept(int, follows, make) == [1, 2]
    assert len(calls) == 3
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"half a fi")
    assert shelf.kept(int, ("a", "1"), make) == [1, 2]
    assert len(calls) == 4


def test_a_transfer_is_judged_by_a_model_that_learned_from_none_of_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of a folder get the log-odds of the model without it, all others those of their fold."""
    learned = list[np.ndarray]()

    def remembered(rows: Table, chosen: np.ndarray) -> fit.Parts:
        learned.append(chosen)
        return fit.fit(rows, chosen, boosted.Growth(trees=2, depth=1, rate=0.2))

    monkeypatch.setattr(judging, "fit", remembered)
    rows = table(4, 240)  # up to 255 the trainer needs no weighted quantiles, its slowest part
    draw = judging.judged(rows, ["one", "two"])
    for name, parts in draw.without.items():
        mine = rows.folders == name
        expected = parts.log_odds(rows.inputs[mine])
        for told, said in zip(draw.transferred, expected, strict=True):
            assert np.array_equal(told[mine], said)
    assert any(np.array_equal(one, rows.folders != "one") for one in learned)
    assert all(any(np.array_equal(one, rows.folds != f) for one in learned) for f in range(FOLDS))


def test_a_folder_is_known_by_its_recordings_not_by_its_name(tmp_path: Path) -> None:
    """The weights that a transfer asks for follow the groups; order and place do not matter."""
    one, two = clip(tmp_path, "CC0-1.0", "one"), clip(tmp_path, "CC0-1.0", "two")
    assert without_file([one, two]) == without_file([two, one]) != without_file([one])


def test_recorders_colour_a_sound_and_never_begin_before_it() -> None:
    """Tone controls, automatic gain and drift are causal, finite, and differ from take to take."""
    sound = np.zeros(RATE_HZ)
    sound[RATE_HZ // 2 :] = noise(0.5, seed=5, rate_hz=RATE_HZ)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kept = recorders.pushed_off_zero(recorders.recorded(sound, RATE_HZ, rng), RATE_HZ, rng)
        through = recorders.converted(0.1 * sound, RATE_HZ, rng)
        assert through.shape == sound.shape
        assert np.isfinite(through).all()
        assert kept.shape == sound.shape
        assert np.isfinite(kept).all()
        assert not kept[: RATE_HZ // 2].any()
        assert kept[RATE_HZ // 2 :].any()


def test_a_group_has_one_fold() -> None:
    """Folds depend on the group's name alone and all of them are used."""
    assert {fold_of(f"group {number}") for number in range(60)} == set(range(FOLDS))
