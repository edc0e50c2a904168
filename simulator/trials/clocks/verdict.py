"""Holds what was said in the draws of a world against the world's limits.

Shares are of *locked* seconds from `from_s` on that were stamped, all draws pooled; only
`told_within_2_sigma` is of all stamped ones, whatever the state.
A draw lies beyond three sigma when more than `beyond_share` of its locked seconds do; of 50 draws
`draws_beyond_3_sigma` may, one at least in fewer draws too. The ratio is the median sigma over
the RMS error, both over all draws. `locked_share` is of the seconds in which a good source has been
there for `from_s` without a break; `most_locked_share` of all seconds. Surely wrong is a draw with
locked stamps off by more than `sure_sigma` sigma for longer than `sure_s`. After an outage the
state must be locked again within `relock_s`; in it, locked or not, sigma has two limits of its own.
What the node corrected after an outage has two limits: its RMS error over the same uncorrected, all
draws counting alike, and the share within 3 sigma. No second may ever be confirmed and wrong as a
whole; `confirmed_share` is the least of locked ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import numpy.typing as npt

from agent.core.units import NS_PER_US
from simulator.trials.clocks.nature import ClockWorld, WorldLimits
from simulator.trials.clocks.witness import Said

DRAWS_OF_LIMITS = 50
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One world over its draws. None where the world or the draws hold nothing to judge."""

    name: str
    draws: int
    locked_seconds: int
    rms_us: float | None
    within_1_sigma: float | None
    within_2_sigma: float | None
    told_within_2_sigma: float | None
    draws_beyond_3_sigma: int
    ratio: float | None
    locked_share: float | None
    all_locked_share: float
    surely_wrong: int
    worst_sigmas: float
    relocked: tuple[int, int]
    slowest_relock_s: float | None
    holdover_within_2_sigma: float | None
    holdover_ratio: float | None
    doubted_in_time: int
    confirmed_share: float | None
    confirmed_and_wrong: int
    worst_ppm_off: float | None
    corrected_ratio: float | None
    corrected_within_3_sigma: float | None
    faults: tuple[str, ...] = ()


def judge(world: ClockWorld, draws: Sequence[Said]) -> Verdict:
    """Pool the draws and name every limit that was missed."""
    limits, seconds = world.limits, _pooled(draws, world.limits.from_s)
    locked, out = seconds.stamped & seconds.locked, seconds.stamped & seconds.out
    rms_us, ratio = _spread(seconds, locked)
    _, holdover_ratio = _spread(seconds, out)
    relocks = [wait_s for one in draws for wait_s in _relocks_s(one)]
    ppm_off = [abs(one.ppm_off) for one in draws if one.ppm_off is not None]
    verdict = Verdict(
        name=world.world,
        draws=len(draws),
        locked_seconds=int(locked.sum()),
        rms_us=rms_us,
        within_1_sigma=_share(seconds.off[locked] <= 1),
        within_2_sigma=_share(seconds.off[locked] <= 2),
        told_within_2_sigma=_share(seconds.off[seconds.stamped] <= 2),
        draws_beyond_3_sigma=sum(
            (_share(seconds.off[locked & (seconds.draw == n)] > 3) or 0.0) > limits.beyond_share
            for n in range(len(draws))
        ),
        ratio=ratio,
        locked_share=_share(seconds.locked[seconds.settled]),
        all_locked_share=_share(seconds.locked[seconds.late]) or 0.0,
        surely_wrong=sum(_is_surely_wrong(one, limits) for one in draws),
        worst_sigmas=float(np.nanmax(seconds.off, where=seconds.locked, initial=0.0)),
        relocked=(sum(wait_s <= limits.relock_s for wait_s in relocks), len(relocks)),
        slowest_relock_s=max(relocks, default=None),
        holdover_within_2_sigma=_share(seconds.off[out] <= 2),
        holdover_ratio=holdover_ratio,
        doubted_in_time=sum(_is_doubted_in_time(one, limits) for one in draws),
        confirmed_share=_share(seconds.confirmed[locked]),
        confirmed_and_wrong=sum(int((one.confirmed & (one.whole_s != 0)).sum()) for one in draws),
        worst_ppm_off=max(ppm_off, default=None),
        corrected_ratio=_corrected_ratio(draws),
        corrected_within_3_sigma=_corrected_share(draws),
    )
    return replace(verdict, faults=tuple(_faults(limits, verdict)))


def _faults(limits: WorldLimits, seen: Verdict) -> Iterator[str]:
    yield from _faults_of_sigma(limits, seen)
    if seen.locked_share is not None and seen.locked_share < limits.locked_share:
        yield (
            f"locked in {seen.locked_share:.1%} of the seconds with a good source, "
            f"least {limits.locked_share:.0%}"
        )
    if seen.all_locked_share > limits.most_locked_share:
        yield f"locked in {seen.all_locked_share:.1%}, at most {limits.most_locked_share:.0%}"
    if seen.confirmed_and_wrong:
        yield f"{seen.confirmed_and_wrong} seconds confirmed and wrong as a whole, allowed none"
    most = limits.most_confirmed_share
    if (seen.confirmed_share or 0.0) > most:
        yield f"confirmed in {seen.confirmed_share:.1%} of locked seconds, at most {most:.0%}"
    if limits.confirmed_share and (seen.confirmed_share or 0.0) < limits.confirmed_share:
        yield (
            f"confirmed in {seen.confirmed_share or 0.0:.1%} of locked seconds, "
            f"least {limits.confirmed_share:.0%}"
        )
    in_time, of = seen.relocked
    if in_time < of:
        yield f"locked again within {limits.relock_s:g} s after {in_time} of {of} outages"
    within = seen.holdover_within_2_sigma
    if within is not None and within < limits.holdover_within_2_sigma:
        yield (
            f"without satellites {within:.1%} within 2 sigma, "
            f"least {limits.holdover_within_2_sigma:.0%}"
        )
    if seen.holdover_ratio is not None and seen.holdover_ratio > limits.holdover_max_ratio:
        yield (
            f"without satellites median sigma {seen.holdover_ratio:.2f} times the RMS error, "
            f"allowed {limits.holdover_max_ratio:g}"
        )
    yield from _faults_of_corrections(limits, seen)
    if limits.doubt_within_s is not None and seen.doubted_in_time < seen.draws:
        yield (
            f"a doubt with {limits.doubt_says!r} within {limits.doubt_within_s:g} s "
            f"in {seen.doubted_in_time} of {seen.draws} draws"
        )
    if limits.ppm_within is not None:
        off = seen.worst_ppm_off
        if off is None or off > limits.ppm_within:
            told = "no rate was told" if off is None else f"rate told {off:.2f} ppm wrong"
            yield f"{told}, allowed {limits.ppm_within:g}"


def _faults_of_corrections(limits: WorldLimits, seen: Verdict) -> Iterator[str]:
    most, ratio, share = limits.corrected_ratio, seen.corrected_ratio, seen.corrected_within_3_sigma
    if most is not None and (ratio is None or ratio > most):
        told = "nothing was" if ratio is None else f"RMS error times {ratio:.2f} once"
        yield f"{told} corrected, allowed {most:.2f}"
    if share is not None and share < limits.corrected_within_3_sigma:
        least = limits.corrected_within_3_sigma
        yield f"corrected, {share:.1%} within 3 sigma, least {least:.0%}"


def _faults_of_sigma(limits: WorldLimits, seen: Verdict) -> Iterator[str]:
    one, two = seen.within_1_sigma, seen.within_2_sigma
    least = limits.within_1_sigma - _noise(seen.draws)
    if one is not None and one < least:
        yield f"{one:.1%} within 1 sigma, least {least:.0%}"
    if two is not None and two < limits.within_2_sigma:
        yield f"{two:.1%} within 2 sigma, least {limits.within_2_sigma:.0%}"
    told = seen.told_within_2_sigma
    if told is not None and told < limits.told_within_2_sigma:
        yield f"locked or not {told:.1%} within 2 sigma, least {limits.told_within_2_sigma:.0%}"
    share = limits.draws_beyond_3_sigma
    most = max(1, ceil(share * seen.draws)) if share else 0
    if seen.draws_beyond_3_sigma > most:
        yield f"{seen.draws_beyond_3_sigma} of {seen.draws} draws beyond 3 sigma, allowed {most}"
    if seen.ratio is not None and seen.ratio > limits.max_ratio:
        yield f"median sigma {seen.ratio:.2f} times the RMS error, allowed {limits.max_ratio:g}"
    if seen.surely_wrong:
        yield (
            f"locked and wrong by more than {limits.sure_sigma:g} sigma for more than "
            f"{limits.sure_s:g} s in {seen.surely_wrong} of {seen.draws} draws "
            f"(worst {seen.worst_sigmas:.0f} sigma)"
        )


def _noise(draws: int) -> float:
    """What chance takes from a share of about two thirds where each draw is one throw, 1.5 sigma;
    the limits themselves are for as many draws as they were set for."""
    return 0.0 if draws >= DRAWS_OF_LIMITS else 0.7 * draws**-0.5


@dataclass(frozen=True, slots=True)
class _Seconds:
    """All questions of all draws, shapes (n,); `off` is |error| in sigmas."""

    draw: npt.NDArray[np.int64]
    error_ns: Floats
    sigma_ns: Floats
    off: Floats
    late: Flags
    stamped: Flags
    locked: Flags
    confirmed: Flags
    settled: Flags
    out: Flags


def _pooled(draws: Sequence[Said], from_s: float) -> _Seconds:
    error_ns = np.concatenate([one.error_ns for one in draws])
    sigma_ns = np.concatenate([one.sigma_ns for one in draws])
    late = np.concatenate([one.at_s for one in draws]) >= from_s
    return _Seconds(
        draw=np.repeat(np.arange(len(draws)), [len(one.at_s) for one in draws]),
        error_ns=error_ns,
        sigma_ns=sigma_ns,
        off=np.abs(error_ns) / sigma_ns,
        late=late,
        stamped=late & np.isfinite(sigma_ns),
        locked=np.concatenate([one.locked for one in draws]),
        confirmed=np.concatenate([one.confirmed for one in draws]),
        settled=np.concatenate([_settled(one, from_s) for one in draws]),
        out=np.concatenate([one.out for one in draws]),
    )


def _corrected_ratio(draws: Sequence[Said]) -> float | None:
    """RMS error of what was corrected over the same uncorrected, each draw counting once."""
    pairs = [
        (one.error_ns[had], one.corrected[had, 0]) for one in draws if (had := _had(one)).any()
    ]
    if not pairs:
        return None
    raw, corrected = (np.mean([np.mean(one[of] ** 2) for one in pairs]) for of in (0, 1))
    return float(np.sqrt(corrected / raw))


def _corrected_share(draws: Sequence[Said]) -> float | None:
    """Of corrected stamps within 3 sigma, each draw counting once."""
    told = [one.corrected[had] for one in draws if (had := _had(one)).any()]
    shares = [np.mean(np.abs(one[:, 0]) <= 3 * one[:, 1]) for one in told]
    return float(np.mean(shares)) if shares else None


def _had(said: Said) -> Flags:
    return np.isfinite(said.corrected[:, 1])


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _spread(seconds: _Seconds, chosen: Flags) -> tuple[float | None, float | None]:
    """RMS error in us, and the median sigma over it."""
    if not chosen.any():
        return None, None
    rms_ns = max(float(np.sqrt(np.mean(seconds.error_ns[chosen] ** 2))), 1.0)
    return rms_ns / NS_PER_US, float(np.median(seconds.sigma_ns[chosen])) / rms_ns


def _settled(said: Said, from_s: float) -> Flags:
    """Where a good source has been there for `from_s` without a break."""
    bad_s = np.maximum.accumulate(np.where(said.good, 0.0, said.at_s))
    return said.good & (said.at_s - bad_s >= from_s)


def _relocks_s(said: Said) -> Iterator[float]:
    """How long each return of the satellites took to be believed; infinite if it never was."""
    for back_s in said.back_s:
        locked_s = said.at_s[said.locked & (said.at_s >= back_s)]
        yield float(locked_s[0] - back_s) if len(locked_s) else float("inf")


def _is_doubted_in_time(said: Said, limits: WorldLimits) -> bool:
    within_s = limits.doubt_within_s or np.inf
    return any(
        limits.doubt_says in phrase and at_s <= within_s for phrase, at_s in said.doubt_s.items()
    )


def _is_surely_wrong(said: Said, limits: WorldLimits) -> bool:
    """A run of locked stamps that far off, from the first to the last for longer than `sure_s`."""
    wrongs = said.locked & (np.abs(said.error_ns) > limits.sure_sigma * said.sigma_ns)
    since_s: float | None = None
    for at_s, wrong in zip(said.at_s, wrongs, strict=True):
        since_s = (at_s if since_s is None else since_s) if wrong else None
        if since_s is not None and at_s - since_s > limits.sure_s:
            return True
    return False
