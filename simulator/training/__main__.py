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
from agent.errors import EarshotError
from simulator.training.cache import Shelf
from simulator.training.card import Choice, renew
from simulator.training.examples import gather, lessons
from simulator.training.fit import Calibration, Mixture
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
from simulator.training.table import table
from simulator.trials.corpus import manifest
from simulator.trials.corpus.folds import fold_file, without_file
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
    panels = {
        name: panel(clips, listened(clips, arguments.seed, STREETS, shelf, arguments.workers))
        for name, clips in folders.items()
    }
    draws = []
    for seed in range(arguments.seed, arguments.seed + arguments.draws):
        rows = table(gather(lessons(folders, tests), seed, shelf, arguments.workers))
        draws.append(judged(rows, list(folders)))
        print(f"draw {seed}: {len(rows.is_shot)} examples, fitted", file=sys.stderr, flush=True)
    choice = chosen(draws, panels)
    write(draws[0], choice.mixture, choice.line, folders)
    renew(Path(agent.models.__path__[0]) / CARD, choice)
    for line in choice.lines():
        print(line)
    return 0


def chosen(draws: Sequence[Judged], panels: Mapping[str, Panel]) -> Choice:
    """The mixture by its worst test, and its operating point; all that was looked at."""
    told = {mixture: tested(draws, panels, mixture) for mixture in MIXTURES}
    mixture = best(told)
    line = operating_line(draws[0], mixture)
    return Choice(mixture, told, line, len(draws[0].rows.is_shot))


def write(draw: Judged, mixture: Mixture, line: Calibration, folders: Folders) -> None:
    """The shipped model, one of each fold, and one without each folder."""
    weights = Path(simulator.trials.corpus.__path__[0]) / "weights"
    weights.mkdir(exist_ok=True)
    for old in weights.glob("*.npz"):
        old.unlink()
    for fold, one in enumerate(draw.folds):
        (weights / fold_file(fold)).write_bytes(one.as_bytes(mixture, line))
    for name, clips in folders.items():
        made = draw.without[name].as_bytes(mixture, line)
        (weights / without_file(clips)).write_bytes(made)
    shipped = draw.whole.as_bytes(mixture, line)
    (Path(agent.models.__path__[0]) / MODEL_FILE).write_bytes(shipped)


if __name__ == "__main__":
    sys.exit(main())
