"""`python -m simulator.training LIVE_FIRE CLIPS [CLIPS ...]`: learn the verdict's weights anew.

Writes the shipped model, the models that `earshot-sim corpus` judges clips by that they have not
seen, and the figures in the model card. The same folders and seed give the same weights. What
hearing makes of sound is kept in `--cache`, so that only the first run takes long.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import agent.models
import simulator.trials.corpus
from agent.core.hearing.classification import MODEL_FILE
from agent.core.hearing.classifier import Model, read_model
from agent.errors import EarshotError
from simulator.training.cache import Shelf
from simulator.training.card import COMPARED_AT, Choice, Reach, renew
from simulator.training.examples import gather, lessons
from simulator.training.fit import Calibration, Mixture, Parts
from simulator.training.hearings import listened
from simulator.training.judging import (
    MIXTURES,
    Judged,
    Panel,
    best,
    judged,
    operating_line,
    panel,
    tested,
)
from simulator.training.reach import ModelOf, Soundings, at, reached, threshold_for
from simulator.training.table import table
from simulator.trials.corpus import manifest
from simulator.trials.corpus.folds import FOLDS, fold_file, fold_of, without_file
from simulator.trials.corpus.manifest import Clip
from simulator.trials.livefire import dataset

STREETS = 5
CARD = "README.md"

Folders = Mapping[str, Sequence[Clip]]


def main() -> int:
    """Exit code 2 where a folder is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m simulator.training", description=__doc__)
    parser.add_argument("live_fire", type=Path, help="the public live-fire dataset")
    parser.add_argument("clips", type=Path, nargs="+", help="folders with a manifest.csv each")
    parser.add_argument("--seed", type=int, default=1, help="of the first draw (default: 1)")
    parser.add_argument("--draws", type=int, default=3, help="draws of takes (default: 3)")
    parser.add_argument("--cache", type=Path, help="a folder to keep what was heard in")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    arguments = parser.parse_args()
    try:
        return learn(arguments)
    except EarshotError as error:
        print(f"training: {error}", file=sys.stderr)
        return error.exit_code


def learn(arguments: argparse.Namespace) -> int:
    """Draw, fit, judge, choose, write."""
    shelf = Shelf(arguments.cache)
    folders = {one.name: manifest.load(one) for one in arguments.clips}
    tests = dataset.load(arguments.live_fire)
    heard = {
        name: listened(clips, arguments.seed, STREETS, shelf, arguments.workers)
        for name, clips in folders.items()
    }
    draws = []
    for seed in range(arguments.seed, arguments.seed + arguments.draws):
        draws.append(table(gather(lessons(folders, tests), seed, shelf, arguments.workers)))
        print(f"draw {seed}: {len(draws[-1].is_shot)} examples", file=sys.stderr, flush=True)
    made = judged(draws, list(folders))
    print("fitted", file=sys.stderr, flush=True)
    panels = {name: panel(clips, heard[name]) for name, clips in folders.items()}
    choice = chosen(made, panels)
    write(made, choice.mixture, choice.line, folders)
    for line in choice.lines():
        print(line, flush=True)
    reach = reaching(made, choice, folders, heard)
    for line in reach.lines():
        print(line)
    renew(Path(agent.models.__path__[0]) / CARD, choice, reach)
    return 0


def chosen(made: Judged, panels: Mapping[str, Panel]) -> Choice:
    """The mixture by its worst test, and its operating point; all that was looked at."""
    heard = made.heard(panels)
    told = {mixture: tested(made, heard, mixture) for mixture in MIXTURES}
    mixture = best(told)
    return Choice(mixture, told, operating_line(made, mixture), len(made.draws[0].is_shot))


def write(made: Judged, mixture: Mixture, line: Calibration, folders: Folders) -> None:
    """The shipped model, one of each fold, and one without each folder."""
    weights = Path(simulator.trials.corpus.__path__[0]) / "weights"
    weights.mkdir(exist_ok=True)
    for old in weights.glob("*.npz"):
        old.unlink()
    for fold, one in enumerate(made.folds):
        (weights / fold_file(fold)).write_bytes(one.as_bytes(mixture, line))
    for name, clips in folders.items():
        (weights / without_file(clips)).write_bytes(made.without[name].as_bytes(mixture, line))
    shipped = made.whole.as_bytes(mixture, line)
    (Path(agent.models.__path__[0]) / MODEL_FILE).write_bytes(shipped)


def reaching(
    made: Judged, choice: Choice, folders: Folders, heard: Mapping[str, Soundings]
) -> Reach:
    """What the chosen models make of the clips that they have not seen."""

    def model(parts: Parts) -> Model:
        return read_model(parts.as_bytes(choice.mixture, choice.line))

    of_fold = {fold: model(made.by(fold)) for fold in range(-1, FOLDS)}

    def unseen(clip: Clip) -> Model:
        return of_fold[fold_of(clip.group) if clip.is_free else -1]

    def apart(name: str) -> ModelOf:
        made_without = model(made.without[name])
        return lambda _clip: made_without

    first = next(iter(folders))
    same = threshold_for(COMPARED_AT, folders[first], heard[first], unseen)
    return Reach(
        {name: reached(clips, heard[name], unseen) for name, clips in folders.items()},
        {name: reached(clips, heard[name], apart(name)) for name, clips in folders.items()},
        reached(folders[first], heard[first], lambda clip: at(same, unseen(clip))),
    )


if __name__ == "__main__":
    sys.exit(main())
