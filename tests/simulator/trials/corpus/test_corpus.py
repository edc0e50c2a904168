"""`earshot-sim corpus`: labelled clips through the node's hearing, scored without favour."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from agent.core.records.kinds import Features, Verdict
from simulator.cli.main import main
from simulator.trials.corpus import bill, embedding, folds, manifest, microphones, ranking
from simulator.trials.corpus.figures import figures
from simulator.trials.corpus.listening import Heard, Trigger
from simulator.trials.corpus.manifest import Clip
from tests.support.hearing import features_like
from tests.support.sound import add_blast, noise

RATE_HZ = 24_000
COLUMNS = (
    "file", "label", "class", "impulsive", "licence", "group_id", "onset_times_s",
    "onset_accuracy_ms",
)  # fmt: skip
FEATURES = Features(
    peak_dbfs=-6.0, peak_db_spl=None, snr_db=30.0, noise_dbfs=-60.0, rise_us=40.0,
    duration_ms=80.0, crest_db=15.0, centroid_hz=800.0, envelope_db=(), clipped=False,
    gap_in_window=False, spectrum_db=(0,) * 9, course_db=((0,) * 19,) * 10,
)  # fmt: skip


def write_corpus(directory: Path) -> None:
    """Two blasts with a tail, and two stretches of noise, one of them free to learn from."""
    shot = noise(1.5, seed=5, rms=0.002, rate_hz=RATE_HZ)
    for at_s in (0.4, 0.9):
        add_blast(shot, at_s * RATE_HZ, 0.5, rate_hz=RATE_HZ)
    rows = [
        ("shot.flac", "gunshot", "gunshot", "yes", "CC-BY-NC-3.0", "a", "0.4;0.9", "3"),
        ("rain.flac", "negative", "rain", "no", "CC0-1.0", "b", "", ""),
        ("hum.flac", "negative", "hum", "no", "CC-BY-NC-3.0", "c", "", ""),
    ]
    soundfile.write(directory / "shot.flac", shot, RATE_HZ)
    for name, seed in (("rain", 6), ("hum", 7)):
        soundfile.write(directory / f"{name}.flac", noise(1.0, seed, 0.1, RATE_HZ), RATE_HZ)
    with (directory / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def clip(kind: str = "gunshot", onsets_s: Sequence[float] = (), impulsive: bool = True) -> Clip:
    return Clip(
        name=f"{kind}.flac", path=Path(f"{kind}.flac"), kind=kind, is_shot=bool(onsets_s),
        is_impulsive=impulsive, licence="CC0-1.0", group=kind, onsets_s=tuple(onsets_s),
        secondary_s=(), accuracy_s=0.01,
    )  # fmt: skip


def heard(one: Clip, *triggers: tuple[float, float]) -> Heard:
    """What was heard: (seconds, score) each, published from a score of 0.5 on; a clip of 36 s."""
    made = [
        Trigger(at_s, FEATURES, Verdict(accepted=score >= 0.5, score=score, reason="impulsive"))
        for at_s, score in triggers
    ]
    return Heard(one, 36.0, 30.0, tuple(made))


def test_the_command_finds_the_shots_and_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both blasts are found in every street, noise stays silent, JSON and page are written."""
    write_corpus(tmp_path)
    out, html = tmp_path / "out.json", tmp_path / "out.html"
    asked = ["corpus", str(tmp_path), "--embeddings", "2", "--json", str(out)]
    assert main([*asked, "--report", str(html)]) == 0
    told = json.loads(out.read_text())
    assert told["shot_recall"] == 1.0
    assert told["false_per_hour"] == 0.0
    assert told["auc"] == 1.0
    assert told["burst_recall"] == 1.0
    assert len(told["model_sha256"]) == 64
    assert "recall_at_5pct_fpr" in capsys.readouterr().out
    assert "<svg" in html.read_text()


def test_each_onset_answers_for_one_shot() -> None:
    """Two rounds 8 ms apart and one onset: one is found and one is missed."""
    told = figures([(heard(clip(onsets_s=(1.0, 1.008)), (1.004, 0.9)),)])
    assert told["shot_recall"] == 0.5
    assert told["burst_spurious_share"] == 0.0


def test_rates_count_clips_and_hours_of_clip() -> None:
    """Published onsets of steady classes per hour of clip; impulsive ones as a share of clips."""
    steady, knock = clip("rain", impulsive=False), clip("door_knock")
    handling = clip("gun_handling")
    told = figures(
        [
            (heard(steady, (1.0, 0.9), (2.0, 0.1)), heard(steady)),
            (heard(knock, (1.0, 0.9), (1.5, 0.9)), heard(knock)),
            (heard(handling, (1.0, 0.9)), heard(handling, (1.0, 0.7))),
        ]
    )
    assert told["false_per_hour"] == pytest.approx(50.0)
    assert told["confuser_clip_rate"] == 0.5
    assert told["gun_handling_clip_rate"] == 1.0
    assert told["auc"] is None


def test_ranking_is_by_the_best_trigger_even_if_it_was_not_published() -> None:
    """Of two shots, one scores above both others and one between them: an area of 3/4."""
    told = figures(
        [
            (heard(clip(onsets_s=(1.0,)), (1.0, 0.9), (1.2, 0.1)),),
            (heard(clip("far", onsets_s=(1.0,)), (1.0, 0.3)),),
            (heard(clip("rain", impulsive=False), (1.0, 0.2)),),
            (heard(clip("door"), (1.0, 0.4)),),
        ]
    )
    assert told["auc"] == 0.75
    assert told["recall_at_5pct_fpr"] == 0.5


def test_streets_come_from_the_seed(tmp_path: Path) -> None:
    """The same seed gives the same samples, another seed others, and the clip is inside."""
    write_corpus(tmp_path)
    shot = manifest.load(tmp_path)[0]
    first, again, other = (list(embedding.embeddings(shot, seed, 2)) for seed in (1, 1, 2))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].samples, other[0].samples)
    assert not np.array_equal(first[0].samples, first[1].samples)
    loudest = int(np.argmax(np.abs(first[0].samples.astype(int)))) - first[0].start
    assert loudest / RATE_HZ == pytest.approx(0.4, abs=0.6)


def test_free_clips_are_judged_by_a_model_that_has_not_seen_them() -> None:
    """Every fold has weights of its own, none of them the shipped ones; others use the node's."""
    assert folds.unseen_judge(clip("rain")) is not None
    models = {folds.fold_model(fold).sha256 for fold in range(folds.FOLDS)}
    assert len(models) == folds.FOLDS


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("nothing,here\n1,2\n", "has no column"),
        ("", "names no clip"),
        (",".join(COLUMNS) + "\nx.flac,gunshot,gunshot,yes,CC0,a,soon,3\n", "is no number"),
        (",".join(COLUMNS) + "\nx.flac,gunshot,gunshot,yes,CC0,a,,3\n", "shots need onsets"),
        (",".join(COLUMNS) + "\nx.flac,negative,rain,no,CC0,a,,\n", "not a readable sound file"),
    ],
)
def test_a_broken_corpus_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str, told: str
) -> None:
    """Exit code 2, and the file and its fault by name."""
    (tmp_path / "manifest.csv").write_text(broken)
    assert main(["corpus", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert str(tmp_path) in line


def test_several_folders_are_told_each_and_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each folder has its figures and its page; a folder without a transfer model says so."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for one in folders:
        one.mkdir()
        write_corpus(one)
    out, html = tmp_path / "out.json", tmp_path / "out.html"
    asked = ["corpus", *map(str, folders), "--embeddings", "1", "--json", str(out)]
    assert main([*asked, "--report", str(html)]) == 0
    told = json.loads(out.read_text())["folders"]
    assert set(told) == {"one", "two"}
    assert told["one"]["auc"] == told["two"]["auc"] == 1.0
    assert told["one"]["transfer"] is None
    assert "no transfer" in capsys.readouterr().out
    assert (tmp_path / "out-one.html").exists()
    assert (tmp_path / "out-two.html").exists()


def test_folders_of_one_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures go by the folder's name: two of one name would hide each other."""
    folders = [tmp_path / "a" / "clips", tmp_path / "b" / "clips"]
    for one in folders:
        one.mkdir(parents=True)
        write_corpus(one)
    assert main(["corpus", *map(str, folders)]) == 2
    assert "clips" in capsys.readouterr().err


def test_the_bound_on_a_ranking_counts_recordings_not_clips() -> None:
    """Copies of one recording tighten nothing; more recordings do. Perfection has no spread."""
    rng = np.random.default_rng(1)
    is_shot = np.arange(40) % 2 == 0
    scores = rng.normal(0.0, 1.0, 40) + 1.0 * is_shot
    groups = [f"g{number}" for number in range(40)]
    one = ranking.lower_bound(scores, is_shot, groups)
    assert one is not None
    copied = ranking.lower_bound(np.tile(scores, 5), np.tile(is_shot, 5), groups * 5)
    apart = ranking.lower_bound(
        np.tile(scores, 5), np.tile(is_shot, 5), [f"g{number}" for number in range(200)]
    )
    assert copied == pytest.approx(one)
    assert apart is not None
    assert apart > one + 0.02
    assert one < (ranking.area(scores, is_shot) or 0.0) - 0.05
    assert ranking.lower_bound(1.0 * is_shot, is_shot, groups) == 1.0
    assert ranking.area(scores[::2], is_shot[::2]) is None


@pytest.mark.parametrize("name", list(microphones.CHAINS))
def test_a_microphone_keeps_the_clip_where_it_says(tmp_path: Path, name: str) -> None:
    """Whatever the chain's rate, the blast is where the embedding says, within a millisecond or so.

    The same seed gives the same sound.
    """
    write_corpus(tmp_path)
    one = manifest.load(tmp_path)[0]
    plain = next(embedding.embeddings(one, 1, 1))
    through = microphones.through(name, plain, seed=1)
    again = microphones.through(name, plain, seed=1)
    assert np.array_equal(through.samples, again.samples)
    at_s = 0.4
    for told in (plain, through):
        first = told.start + round((at_s - 0.05) * told.rate_hz)
        piece = np.abs(told.samples[first : first + told.rate_hz // 10].astype(float))
        assert np.argmax(piece > 0.5 * piece.max()) / told.rate_hz == pytest.approx(0.05, abs=3e-3)


def test_the_bill_of_a_street_counts_what_a_node_would_send() -> None:
    """Nothing for silence, a few kilobytes a candidate, and no more than 2 MB in any street."""
    features = features_like(-30.0, course=tuple(range(0, -19, -1)))
    judged = [Verdict(accepted=score > 0.5, score=score, reason="") for score in (0.3, 0.9)]
    named = [msgspec.structs.replace(one, model_sha256="a" * 64) for one in judged]
    refused, published = (Trigger(1.0, features, one) for one in named)
    silent = Heard(clip("rain", impulsive=False), 36.0, 30.0, (refused,))
    quiet = Heard(clip("rain", impulsive=False), 36.0, 30.0, (published,))
    busy = Heard(clip("hooves", impulsive=False), 2.0, 30.0, (published, refused))
    assert bill.bytes_an_hour([silent]) == 0
    hundred = bill.bytes_an_hour([quiet])
    assert 100_000 < hundred < 500_000
    assert hundred < bill.bytes_an_hour([busy]) < 2_000_000
