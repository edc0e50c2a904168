"""`python -m simulator.training CLIPS LIVE_FIRE`: learn the verdict's weights anew.

Writes the shipped model, the fold models that `earshot-sim corpus` judges free clips by, and the
figures of cross-validation. The same folders and seed give the same weights.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import agent.models
import simulator.trials.corpus
from agent.core.hearing.classification import MODEL_FILE
from agent.core.hearing.classifier import INPUTS
from agent.errors import EarshotError
from simulator.training.examples import Example, gather
from simulator.training.fit import Array, Calibration, Table, calibrated, fit, table
from simulator.trials.corpus import manifest
from simulator.trials.corpus.folds import FOLDS, fold_file
from simulator.trials.livefire import dataset


def main() -> int:
    """Exit code 2 where a folder is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m simulator.training", description=__doc__)
    parser.add_argument("clips", type=Path, help="folder with a manifest.csv")
    parser.add_argument("live_fire", type=Path, help="the public live-fire dataset")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        clips, tests = manifest.load(arguments.clips), dataset.load(arguments.live_fire)
        examples = list(gather(clips, tests, arguments.seed))
    except EarshotError as error:
        print(f"training: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(learn(examples), indent=2))
    return 0


def learn(examples: Sequence[Example]) -> dict[str, Any]:
    """Fit, calibrate and write all models; the figures of examples that no model had seen."""
    rows = table(examples)
    folds = [fit(rows, rows.folds != fold) for fold in range(FOLDS)]
    unseen = np.empty(len(rows.is_shot))
    for fold, one in enumerate(folds):
        unseen[rows.folds == fold] = one.log_odds(rows.inputs[rows.folds == fold])
    recorded = np.array(["synthetic" not in one.source for one in examples])
    line = calibrated(unseen, rows, recorded)
    weights = Path(simulator.trials.corpus.__path__[0]) / "weights"
    weights.mkdir(exist_ok=True)
    for fold, one in enumerate(folds):
        (weights / fold_file(fold)).write_bytes(one.as_bytes(line))
    shipped = fit(rows, np.ones(len(rows.is_shot), np.bool_)).as_bytes(line)
    (Path(agent.models.__path__[0]) / MODEL_FILE).write_bytes(shipped)
    return _figures(unseen, rows, examples, line)


def _figures(
    unseen: Array, rows: Table, examples: Sequence[Example], line: Calibration
) -> dict[str, Any]:
    published = line.published(unseen, rows)
    source = np.array([one.source for one in examples])
    shares = {}
    for name in sorted(set(source)):
        for label, word in ((True, "shots"), (False, "others")):
            mine = (source == name) & (rows.is_shot == label)
            if mine.any():
                shares[f"{name}: {word} published"] = round(float(np.mean(published[mine])), 4)
    return {"inputs": INPUTS, "examples": len(examples), "threshold": line.threshold, **shares}


if __name__ == "__main__":
    sys.exit(main())
