"""`corpus` as a page: the figures and their meaning, each class, and where the scores lie."""

from typing import Any

import numpy as np

from simulator.report.page import figure, heading, page, table
from simulator.report.plots import FOUND, WRONG, drawing, svg
from simulator.trials.corpus.figures import REPORTED_APART, Listened

HEADLINES = {
    "shot_recall": "of labelled shots, published within 10 ms or the clip's accuracy",
    "false_per_hour": "published per hour of clips that hold nothing impulsive",
    "confuser_clip_rate": "of impulsive clips without a gun, any publication",
    **{f"{kind}_clip_rate": f"the same for {kind}" for kind in REPORTED_APART},
    "auc": "clips ranked by best score, by models that had not seen them",
    "auc_lower_90": "its one-sided 90 % bound, groups of recordings drawn anew",
    "recall_at_5pct_fpr": "of shot clips, at a score that 5 % of the others reach",
    "out_of_range": "of the triggers, outside what the model has learned",
    "burst_recall": "of the rounds in clips with several",
    "burst_spurious_share": "published in these clips and no round, per round",
    "rapid_fire_recall": "of the rounds in bursts made of dry single shots, 45 to 150 ms apart",
    "rapid_fire_spurious_share": "published in these bursts and no round, per round",
}
CLASS_COLUMNS = (
    "clips",
    "triggers",
    "published",
    "published_per_hour",
    "clip_rate",
    "kb_an_hour",
    "recall",
)
_BINS = np.linspace(0.0, 1.0, 41).tolist()


def shown(value: float | None) -> str:
    """A figure as tables print it."""
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def class_rows(per_class: dict[str, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Name of each class and its CLASS_COLUMNS; what a class does not have is left empty."""
    return [
        (kind, *(shown(row[name]) if name in row else "" for name in CLASS_COLUMNS))
        for kind, row in per_class.items()
    ]


def corpus_report(result: dict[str, Any], listened: Listened) -> str:
    """The whole page."""
    headlines = [(name, shown(result[name]), text) for name, text in HEADLINES.items()]
    classes = ("class", *(name.replace("_", " ") for name in CLASS_COLUMNS))
    missed = [(name, str(count)) for name, count in result["missed_shots"].items()]
    body = [
        table(("figure", "value", "meaning"), headlines, numbers=frozenset({1})),
        figure(
            _scores(listened),
            "Best score of each clip, averaged over its streets. Clips that the shipped model "
            "learned from were judged by the model of a fold that had not seen them.",
        ),
        heading("Classes"),
        table(classes, class_rows(result["per_class"]), numbers=frozenset(range(1, 8))),
        heading("Shots missed, over all streets"),
        table(("clip", "missed"), missed, numbers=frozenset({1})),
    ]
    return page(
        "What a node makes of labelled clips",
        f"{result['clips']} clips, each heard in {result['embeddings']} streets; background does "
        "not count in any rate.",
        body,
        f"earshot {result['software']}, seed {result['seed']}, model {result['model_sha256'][:16]}",
    )


def _scores(listened: Listened) -> str:
    with drawing(8.4, 3.2) as drawn:
        axes = drawn.subplots()
        for name, is_shot, colour in (("shots", True, FOUND), ("other sounds", False, WRONG)):
            best = [
                np.mean([one.best_score for one in group])
                for group in listened
                if group[0].clip.is_shot == is_shot
            ]
            axes.hist(best, _BINS, color=colour, alpha=0.6, label=name)
        axes.set(xlabel="score", ylabel="clips")
        axes.legend(frameon=False)
        return svg(drawn, "best scores of clips with and without shots")
