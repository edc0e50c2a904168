"""What the records of hearing claim, computed again from the numbers that they hold.

A score follows from the features and the model that the record names; that nothing was thinned but
what fell under the rule follows from the rule and what was told beside it. Signatures and order are
`records.audit`'s matter. Feed it verified bodies, a chain's in their order.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agent.core.hearing.classification import known_model, unsure
from agent.core.hearing.classifier import Model, chance
from agent.core.hearing.inputs import BANDS, INPUTS, described, edges_db
from agent.core.hearing.street_past import PRINT, Print
from agent.core.hearing.thinning import falls_under
from agent.core.hearing.trees import Numbers
from agent.core.records.audit import Fault
from agent.core.records.kinds import Body, Features, Impulse, Verdict
from agent.core.records.thinned import Thinned, unpacked
from agent.errors import MalformedRecord

BATCH = 256
_SCORE_STEP = 1.5e-4
_EDGE_S = 0.01
_TOLD_KEPT = 4096

ModelOf = Callable[[str], Model | None]


class _Claims:
    """Scores that wait to be repeated by one model: of each its record's place and number."""

    def __init__(self) -> None:
        self.rows: Numbers = np.empty((BATCH, INPUTS), np.float32)
        self.claims: list[tuple[str, int, float]] = []

    def add(self, where: str, seq: int, score: float, row: Numbers) -> bool:
        """True if that was the last for which there is room."""
        self.rows[len(self.claims)] = row
        self.claims.append((where, seq, score))
        return len(self.claims) == BATCH


class _Alert(NamedTuple):
    """One that was told: what a rule asks of it. `row` is None where it holds no numbers."""

    sample: int
    rate_hz: int
    seq: int
    peak_dbfs: float
    score: float
    row: Numbers | None


@dataclass(slots=True)
class _Told:
    """What one run of a chain told since its last summary, by sample."""

    boot: str = ""
    alerts: deque[_Alert] = field(default_factory=lambda: deque(maxlen=_TOLD_KEPT))


class Repetition:
    """`repeated` counts the scores that were, `unnamed` those whose record names no model.

    `foreign` counts, by SHA-256, those whose model `model_of` does not know: that is no fault.
    """

    def __init__(self, model_of: ModelOf = known_model) -> None:
        self._model_of = model_of
        self._models: dict[str, Model | None] = {}
        self._waiting: dict[str, _Claims] = {}
        self._told: dict[tuple[str, str], _Told] = {}
        self.repeated = self.unnamed = self.thinned = 0
        self.foreign: Counter[str] = Counter()

    def record(self, where: str, body: Body) -> Iterable[Fault]:
        """What is wrong with this record, or with some of those before it."""
        match body.data:
            case Impulse():
                row = _numbers(body.data.features)
                followed = self._followed(where, body, body.data, row)
                self._remember(body, body.data, row)
                return (*followed, *self._claimed(where, body.seq, body.data.verdict, row))
            case Thinned():
                self.thinned += body.data.count
                found = (*list_faults(body.data), *self._told_all_the_same(body, body.data))
                return [
                    Fault(where, f"Summary {body.seq} cannot be believed: {one}.") for one in found
                ]
            case _:
                return ()

    def lines(self) -> Iterator[str]:
        """What was repeated, and what could not be, for a person."""
        if self.repeated:
            yield f"{self.repeated} scores repeated from the records' own numbers"
        if self.unnamed:
            yield f"{self.unnamed} scores not repeated: their records name no model"
        for sha256, count in self.foreign.most_common():
            yield f"{count} scores not repeated: this version does not hold the model {sha256[:16]}"
        if self.thinned:
            yield f"{self.thinned} candidates listed instead of told, each summary with its rule"

    def figures(self) -> dict[str, object]:
        """The same as numbers."""
        return {
            "repeated": self.repeated,
            "unnamed": self.unnamed,
            "foreign": dict(self.foreign),
            "thinned": self.thinned,
        }

    def finish(self) -> Iterator[Fault]:
        """What is wrong with the last records."""
        for sha256 in list(self._waiting):
            yield from self._repeat(sha256)

    def _claimed(
        self, where: str, seq: int, verdict: Verdict, row: Numbers | None
    ) -> Iterable[Fault]:
        sha256 = verdict.model_sha256
        if sha256 is None:
            self.unnamed += 1
            return ()
        if self._model(sha256) is None:
            self.foreign[sha256] += 1
            return ()
        if row is None:
            return (Fault(where, f"Record {seq} lacks numbers that its model needs."),)
        waiting = self._waiting.get(sha256)
        if waiting is None:
            waiting = self._waiting[sha256] = _Claims()
        return self._repeat(sha256) if waiting.add(where, seq, verdict.score, row) else ()

    def _repeat(self, sha256: str) -> Iterator[Fault]:
        """Many at once: one by one would cost half of what their signatures do."""
        model, waiting = self._models[sha256], self._waiting.pop(sha256)
        assert model  # noqa: S101 - only claims that name a known model wait
        scores = scores_of(model, waiting.rows[: len(waiting.claims)])
        for (where, seq, told), score in zip(waiting.claims, scores, strict=True):
            self.repeated += 1
            if abs(told - score) > _SCORE_STEP:
                what = f"tells a score of {told:g}, which is {score:.4g}"
                yield Fault(where, f"Record {seq} {what} by the model that it names.")

    def _followed(
        self, where: str, body: Body, impulse: Impulse, row: Numbers | None
    ) -> tuple[Fault, ...]:
        """Whether it follows the record that it names; one that was listed instead is not there."""
        follows = impulse.verdict.follows_sample
        told = self._told.get((body.source, body.chain))
        if not isinstance(follows, int) or row is None or told is None or told.boot != body.boot:
            return ()
        model = self._model(impulse.verdict.model_sha256 or "")
        lead = next((one for one in told.alerts if one.sample == follows), None)
        if model is None or lead is None or lead.row is None:
            return ()
        what = f"Record {body.seq} does not follow the one that it names"
        late_s = (impulse.sample_index - follows) / impulse.rate_hz
        fell_db = lead.peak_dbfs - impulse.features.peak_dbfs
        apart_db = float(np.abs(row[:BANDS] - lead.row[:BANDS]).mean())
        if model.following is None:
            return (Fault(where, f"{what}: its model knows of no such thing."),)
        if model.following.is_round(late_s, fell_db, apart_db, _EDGE_S):
            return ()
        return (Fault(where, f"{what}: it comes too early or late, is too faint or not alike."),)

    def _model(self, sha256: str) -> Model | None:
        if sha256 not in self._models:
            self._models[sha256] = self._model_of(sha256)
        return self._models[sha256]

    def _remember(self, body: Body, impulse: Impulse, row: Numbers | None) -> None:
        told = self._told.get((body.source, body.chain))
        if told is None:
            told = self._told[body.source, body.chain] = _Told()
        sample, rate_hz = impulse.sample_index, impulse.rate_hz
        is_back = told.alerts and sample < told.alerts[-1].sample - rate_hz
        if told.boot != body.boot or is_back:
            told.boot = body.boot
            told.alerts.clear()
        peak_dbfs, score = impulse.features.peak_dbfs, impulse.verdict.score
        told.alerts.append(_Alert(sample, rate_hz, body.seq, peak_dbfs, score, row))

    def _told_all_the_same(self, body: Body, summary: Thinned) -> Iterator[str]:
        told = self._told.get((body.source, body.chain))
        if told is None or told.boot != body.boot:
            return
        for one in told.alerts:
            edge = round(_EDGE_S * one.rate_hz)
            if not summary.first_sample + edge <= one.sample <= summary.last_sample - edge:
                continue
            if _falls_under(summary, one):
                yield f"record {one.seq} was told, and falls under its rule"
        told.alerts.clear()


def scores_of(model: Model, rows: Numbers) -> Iterator[float]:
    """As `classification.judged_by` gives them, for many `rows` (n, INPUTS) at once."""
    learned = np.all(edges_db(rows[:, :BANDS]) >= model.faintest_edges_db, axis=1).tolist()
    for odds, is_known in zip(model.log_odds(rows), learned, strict=True):
        score = chance(float(odds))
        yield score if is_known else unsure(score)


def list_faults(summary: Thinned) -> Iterator[str]:
    """What in a summary contradicts its own rule, in words."""
    rule = summary.rule
    try:
        listed = list(unpacked(summary.listed))
    except MalformedRecord as error:
        yield str(error)
        return
    if len(listed) != summary.count:
        yield f"it counts {summary.count} and lists {len(listed)}"
    if summary.last_sample < summary.first_sample:
        yield "it ends before it begins"
    limits = (
        ("louder", [one.peak_dbfs for one in listed], summary.peak_dbfs[1], rule.not_above_dbfs),
        ("more like a shot", [one.score for one in listed], summary.score[1], rule.not_above_score),
        ("less like the street", [one.away_db for one in listed], 0.0, rule.within_db),
    )
    for word, values, most, limit in limits:
        if max((*values, most)) > limit:
            yield f"one that it lists is {word} than its rule allows"


def _falls_under(summary: Thinned, one: _Alert) -> bool:
    """False also where likenesses or record hold other numbers than this version compares."""
    if one.row is None:
        return False
    print_: Print = one.row[:PRINT].astype(np.int16)
    try:
        return falls_under(summary.rule, one.peak_dbfs, one.score, print_)
    except (ValueError, OverflowError, IndexError):
        return False


def _numbers(features: Features) -> Numbers | None:
    try:
        row = described(features)
    except (ValueError, OverflowError):
        return None
    return row if len(row) == INPUTS else None
