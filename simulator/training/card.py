"""The part of the model card that the training script writes itself: what was tried and chosen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.training.fit import Calibration, Mixture
from simulator.training.judging import RECALL_WANTED, Tests, worst

BEGIN, END = "<!-- written by simulator.training -->", "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, of what, and how each did."""

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
        draws = len(next(iter(self.told[self.mixture].values())))
        yield ""
        yield (
            f"Area under the ROC curve: mean of {draws} draws of takes (least to most), then the "
            "one-sided 90 % bound, groups of recordings drawn anew."
        )
        yield (
            f"{self.examples} examples a draw. Score wanted of faint sounds: "
            f"{self.line.threshold:.4f}, which keeps {RECALL_WANTED:.1%} of the disguised shots of "
            "every folder and of the live fire, by models that learned from none of it."
        )


def renew(card: Path, choice: Choice) -> None:
    """Puts the choice into the card, between the marks that it has for it."""
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    told = "\n".join(choice.lines())
    card.write_text(f"{before}{BEGIN}\n{told}\n{END}{after}", encoding="utf-8")


def _shown(of_draws: Sequence[tuple[float, float]]) -> str:
    areas = [area for area, _ in of_draws]
    bound = np.mean([bound for _, bound in of_draws])
    return f"{np.mean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f}), {bound:.3f}"
