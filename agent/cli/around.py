"""What an export says was heard around one moment: told or only listed, by all its nodes.

For whoever is asked about a shot that nobody was told of.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from agent.core.records.kinds import Body, Impulse
from agent.core.records.thinned import Thinned, unpacked
from agent.core.units import NS_PER_S, rfc3339
from agent.errors import MalformedRecord


@dataclass(frozen=True, slots=True, order=True)
class Heard:
    """One onset; `record` is its record's place in the chain, `sigma_ns` None where unknown."""

    utc_ns: int
    source: str
    record: str
    is_told: bool
    sigma_ns: int | None
    peak_dbfs: float
    snr_db: float
    score: float

    def told(self) -> str:
        """In one line."""
        sigma = "unknown" if self.sigma_ns is None else f"{self.sigma_ns / 1000:.0f} us"
        how = "told" if self.is_told else "only listed, as like its street"
        return (
            f"{rfc3339(self.utc_ns)} {self.source}: sigma {sigma}, peak {self.peak_dbfs:.0f} dBFS, "
            f"SNR {self.snr_db:.0f} dB, score {self.score:.2f}, {how} (record {self.record})"
        )


@dataclass(slots=True)
class Around:
    """Shown every record, keeps the onsets that arrived within so many ns of `utc_ns`, if any."""

    utc_ns: int | None
    within_ns: int
    heard: list[Heard] = field(default_factory=list)
    untimed: int = 0

    def record(self, body: Body) -> None:
        """Take up one record."""
        if self.utc_ns is None:
            return
        for one in _heard(body):
            if one is None:
                self.untimed += 1
            elif abs(one.utc_ns - self.utc_ns) <= self.within_ns:
                self.heard.append(one)

    def lines(self) -> Iterator[str]:
        """All of it in words, by time."""
        if self.utc_ns is None:
            return
        span = f"within {self.within_ns / NS_PER_S:g} s of {rfc3339(self.utc_ns)}"
        yield f"{len(self.heard)} onsets {span}:" if self.heard else f"no onset {span}"
        yield from (one.told() for one in sorted(self.heard))
        if self.untimed:
            yield f"{self.untimed} onsets of nodes that did not know the time are left out"


def _heard(body: Body) -> Iterator[Heard | None]:
    """None for each onset whose time is not known."""
    match body.data:
        case Impulse() as one:
            utc_ns = None if one.toa_utc_ns is None else int(one.toa_utc_ns)
            yield (
                None
                if utc_ns is None
                else Heard(
                    utc_ns=utc_ns,
                    source=body.source,
                    record=f"{body.chain[:8]}/{body.seq}",
                    is_told=True,
                    sigma_ns=one.sigma_total_ns,
                    peak_dbfs=one.features.peak_dbfs,
                    snr_db=one.features.snr_db,
                    score=one.verdict.score,
                )
            )
        case Thinned() as summary:
            with suppress(MalformedRecord):  # which is a fault that is told of
                yield from _listed(body, summary)
        case _:
            pass


def _listed(body: Body, summary: Thinned) -> Iterator[Heard | None]:
    for one in unpacked(summary.listed):
        yield (
            None
            if summary.first_utc_ns is None
            else Heard(
                utc_ns=int(summary.first_utc_ns) + one.after_ns,
                source=body.source,
                record=f"{body.chain[:8]}/{body.seq}",
                is_told=False,
                sigma_ns=one.sigma_ns,
                peak_dbfs=one.peak_dbfs,
                snr_db=one.snr_db,
                score=one.score,
            )
        )
