"""Teaching the verdict: licences are kept, groups are never split, one seed gives one result."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.core.hearing.classifier import read_model
from agent.core.hearing.inputs import INPUTS
from simulator.training import handling, recorders, scenes, takes
from simulator.training.takes import Take
from simulator.trials.corpus.folds import FOLDS, fold_of
from simulator.trials.corpus.manifest import Clip
from tests.support.sound import add_blast, noise

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.ensemble import HistGradientBoostingClassifier

from simulator.training import boosted, cache, confusers, examples, fit, judging
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
    assert names == [one.name] * free


def test_a_disguise_keeps_the_shot_where_it_says(tmp_path: Path) -> None:
    """Whatever a disguise does, hearing finds the labelled onset in most takes."""
    made = list(takes.of_clip(clip(tmp_path, "CC0-1.0"), 12, np.random.default_rng(3)))
    found = list(examples.examples(lesson(made), made, np.random.default_rng(4)))
    assert len({one.take for one in found if one.is_shot}) >= 9


def test_scenes_come_from_the_generator_they_are_given() -> None:
    """The same generator gives the same scenes; shots have onsets and confusers have none."""
    kinds = {make for make, *_ in confusers.confusers(25)}
    for make in (scenes.shots, *(partial(scenes.confusers, one) for one in kinds)):
        first = list(make(0, 2, np.random.default_rng(6)))
        again = list(make(0, 2, np.random.default_rng(6)))
        assert all(np.array_equal(a.sound, b.sound) for a, b in zip(first, again, strict=True))
        assert all(bool(one.shots_s) == (make is scenes.shots) for one in first)
        assert all(isinstance(one, Take) and np.isfinite(one.sound).all() for one in first)
        assert all(np.abs(one.sound).max() > 0.0 for one in first)


def test_every_scene_is_made_once_and_a_kind_follows_from_its_own_code() -> None:
    """Pieces of a kind cover its scenes without overlap; kinds of two modules differ in digest."""
    pieces = list(confusers.confusers(40))
    for make in {one for one, *_ in pieces}:
        spans = [(first, count) for one, first, count, _ in pieces if one is make]
        assert [first for first, _ in spans] == [40 * turn for turn in range(len(spans))]
        assert all(count == 40 for _, count in spans[:-1])
    digests = {make.__module__: digest for make, _, _, digest in pieces}
    assert len(set(digests.values())) > 2


def test_a_handled_weapon_clicks_high_and_leaves_nothing_behind() -> None:
    """Most of its power lies above 1 kHz, and 60 ms after its last click nearly nothing is left."""
    high, rest = list[float](), list[float]()
    for seed in range(30):
        sound = handling.handling(np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(sound)) ** 2
        hz = np.fft.rfftfreq(len(sound), 1.0 / 48_000)
        high.append(power[hz > 1000.0].sum() / power.sum())
        levels = np.abs(sound[: len(sound) // 2880 * 2880]).reshape(-1, 2880).max(axis=1)
        rest.append(float(np.median(levels) / levels.max()))
    assert np.median(high) > 0.7
    assert np.median(rest) < 0.1


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
    draws, chosen = [rows, table(5)], [every, every]
    fitted = fit.fit(draws, chosen, SMALL)
    unseen = mixture.of(fitted.log_odds(fresh.inputs))
    line = fit.calibrated(unseen, fresh)
    assert np.mean((unseen > np.median(unseen)) == fresh.is_shot) > 0.9
    shots = unseen[fresh.is_shot], fresh.snr_db[fresh.is_shot]
    line = line.keeping(0.9, *shots)
    assert np.mean(line.published(*shots)) == pytest.approx(0.9, abs=0.01)
    data = fitted.as_bytes(mixture, line)
    assert fit.fit(draws, chosen, SMALL).as_bytes(mixture, line) == data
    model = read_model(data)
    said = model.log_odds(fresh.inputs)
    assert said == pytest.approx(line.slope * unseen + line.offset, abs=1e-3)
    assert model.threshold == pytest.approx(line.threshold, abs=1e-6)
    assert model.dearer_per_db == pytest.approx(fit.DEARER_PER_DB)
    assert model.following == fit.FOLLOWING


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


def test_a_transfer_is_judged_by_models_that_learned_from_none_of_the_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows of a folder get the log-odds of the models without it, all others those of their fold;
    each draw's models are its own, and the draws are told apart."""
    learned = list[list[np.ndarray]]()

    def remembered(draws: list[Table], chosen: list[np.ndarray]) -> fit.Parts:
        learned.append(chosen)
        return fit.fit(draws, chosen, boosted.Growth(trees=2, depth=1, rate=0.2))

    monkeypatch.setattr(judging, "fit", remembered)
    draws = [table(4, 240), table(6, 240)]
    made = judging.judged(draws, ["one", "two"])
    rows = made.rows
    assert len(rows.is_shot) == 480
    for name, parts in made.without.items():
        mine = rows.folders == name
        assert np.array_equal(made.transferred[..., mine], parts.log_odds(rows.inputs[mine]))
        assert any(
            all(
                np.array_equal(one, draw.folders != name)
                for one, draw in zip(chosen, draws, strict=True)
            )
            for chosen in learned
        )
    for fold in range(FOLDS):
        mine = rows.folds == fold
        assert np.array_equal(made.unseen[..., mine], made.by(fold).log_odds(rows.inputs[mine]))
        assert any(
            all(
                np.array_equal(one, draw.folds != fold)
                for one, draw in zip(chosen, draws, strict=True)
            )
            for chosen in learned
        )
    assert not np.allclose(made.unseen[:, 0], made.unseen[:, 1])


def test_the_spread_of_draws_is_told_and_the_worst_test_is_their_mean() -> None:
    """A mixture is chosen by the mean over single draws; what all make together stands apart."""
    tests = {"a": [(0.9, 0.8), (0.7, 0.6), (0.99, 0.98)], "b": [(0.95, 0.9), (0.95, 0.9), (1, 1)]}
    area, error = judging.worst(tests)
    assert area == pytest.approx(0.8)
    assert error == pytest.approx(0.1 / 1.2816, rel=1e-3)
    simple, other = judging.MIXTURES[1], judging.MIXTURES[2]
    better = {"a": [(0.85, 0.75), (0.85, 0.75), (0.9, 0.8)]}
    assert judging.best({simple: tests, other: better}) == simple
    assert judging.best({simple: {"a": [(0.5, 0.4)] * 3}, other: better}) == other


def test_rounding_for_the_trainer_keeps_what_has_few_values_and_little_else() -> None:
    """Whole decibels stay; what has thousands of values gets at most 255, off by half a step."""
    rng = np.random.default_rng(8)
    whole = np.rint(rng.normal(0, 20, 5000))
    fine = np.round(rng.uniform(-60, 0, 5000), 2)
    inputs = np.stack((whole, fine), axis=1).astype(np.float32)
    stepped = boosted.in_steps(inputs)
    assert np.array_equal(stepped[:, 0], inputs[:, 0])
    assert len(np.unique(stepped[:, 1])) <= 255
    assert np.abs(stepped[:, 1] - inputs[:, 1]).max() <= 0.126


def test_code_is_known_by_what_it_does() -> None:
    """Comments, docstrings and layout keep what was heard; a changed number does not."""
    one = 'def f(x):\n    """Doubles."""\n    return 2 * x\n'
    other = "# better\ndef f(x):\n    return (\n        2 * x\n    )\n"
    assert cache.what_it_does(one) == cache.what_it_does(other)
    assert cache.what_it_does(one) != cache.what_it_does(one.replace("2", "3"))


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
