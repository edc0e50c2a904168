"""The part of the model card that the training script writes itself: what was tried and chosen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.training.fit import Calibration, Mixture
from simulator.training.judging import RECALL_WANTED, Tests, worst
from simulator.training.reach import missing

BEGIN, END = "<!-- written by simulator.training -->", "<!-- end -->"
COMPARED_AT = 0.967

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, of what, and how each did; `examples` are those of one draw."""

    mixture: Mixture
    told: Mapping[Mixture, Tests]
    line: Calibration
    examples: int

    def lines(self) -> Iterator[str]:
        """A table of all mixtures in Markdown, then the operating point."""
        names = list(self.told[self.mixture])
        yield f"| regression, trees | {' | '.join(names)} | worst |"
        yield "|---" * (len(names) + 2) + "|"
        for mixture, tests in self.told.items():
            mark = " **chosen**" if mixture == self.mixture else ""
            shown = " | ".join(_shown(tests[name]) for name in names)
            yield (
                f"| {mixture.regression:g}, {mixture.trees:g}{mark} | {shown} "
                f"| {worst(tests)[0]:.3f} |"
            )
        draws = len(next(iter(self.told[self.mixture].values()))) - 1
        yield ""
        yield (
            f"Area under the ROC curve by models of one draw of takes each: mean of {draws} (least "
            "to most), and its one-sided 90 % bound with groups of recordings drawn anew; then by "
            "the mean of their models, which is what is shipped."
        )
        yield (
            f"{self.examples} examples a draw. Score wanted of faint sounds: "
            f"{self.line.threshold:.4f}, which keeps {RECALL_WANTED:.1%} of the disguised shots of "
            "the middle one of the folders and the live fire, by models that learned from none."
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """Figures of each folder by folds and by transfer; and of the first one at COMPARED_AT."""

    folds: Mapping[str, Figures]
    transfers: Mapping[str, Figures]
    compared: Figures

    def lines(self) -> Iterator[str]:
        """What the operating point gives, and which kinds of sound are mistaken, in Markdown."""
        columns: list[Figures] = []
        for name in self.folds:
            columns += [self.folds[name], self.transfers[name]]
        first = next(iter(self.folds))
        names = [f"{name}, {how}" for name in self.folds for how in ("folds", "transfer")]
        names.append(f"{first}, folds, at {COMPARED_AT:.1%} of the shots")
        yield f"| | {' | '.join(names)} |"
        yield "|---" * (len(names) + 1) + "|"
        for words, value in _ROWS:
            shown = (_figure(value(one)) for one in (*columns, self.compared))
            yield f"| {words} | {' | '.join(shown)} |"
        yield ""
        yield "Share of clips with a candidate by models that learned from none of their folder:"
        yield ""
        yield "| folder | class | clips | with a candidate |"
        yield "|---|---|---|---|"
        for row in missing(self.transfers):
            yield f"| {' | '.join(row)} |"


_ROWS: tuple[tuple[str, Callable[[Figures], float | None]], ...] = (
    ("area under the ROC curve", lambda told: told["auc"]),
    ("its one-sided 90 % bound", lambda told: told["auc_lower_90"]),
    ("shot clips above the best 5 % of others", lambda told: told["recall_at_5pct_fpr"]),
    ("shots published", lambda told: told["shot_recall"]),
    ("rounds of bursts found", lambda told: told["burst_recall"]),
    ("spurious onsets per round", lambda told: told["burst_spurious_share"]),
    ("rounds of bursts made of dry single shots", lambda told: told["rapid_fire_recall"]),
    ("spurious onsets per round there", lambda told: told["rapid_fire_spurious_share"]),
    ("of these 45 ms apart", lambda told: told["rapid_fire_recall_by_ms"].get(45)),
    ("gun handling clips with a candidate", lambda told: told["gun_handling_clip_rate"]),
    ("other impulsive clips with a candidate", lambda told: told["confuser_clip_rate"]),
    ("published per hour of other clips", lambda told: told["false_per_hour"]),
    ("triggers out of range", lambda told: told["out_of_range"]),
)


def renew(card: Path, *parts: Choice | Reach) -> None:
    """Puts what was chosen and reached into the card, between the marks that it has for it."""
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    told = "\n\n".join("\n".join(one.lines()) for one in parts)
    card.write_text(f"{before}{BEGIN}\n{told}\n{END}{after}", encoding="utf-8")


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 2 else f"{value:.0f}"


def _shown(of_draws: Sequence[tuple[float, float]]) -> str:
    areas = [area for area, _ in of_draws[:-1]]
    bound = np.mean([bound for _, bound in of_draws[:-1]])
    return (
        f"{np.mean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f}), {bound:.3f}; "
        f"{of_draws[-1][0]:.3f}"
    )
