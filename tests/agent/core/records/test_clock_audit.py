"""`earshot verify` holds corrections against the marks of other records, across runs and exports.

The node here has a crystal of its own, 12 ppm fast with a curve of hours, and marks with jitter;
what it corrects is what it measured. What is judged is made wrong on purpose.
"""

import random
from functools import cache

import msgspec
import pytest

from agent.core.records.audit import Auditor
from agent.core.records.chain import Head, Sealed
from agent.core.records.correction import Correction, Knot
from agent.core.records.envelope import load_public_key
from agent.core.records.fields import TimePair, time_pairs
from agent.core.records.kinds import Data, Gap, Start, TimebaseChange
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.drafts import draft, identity_of, impulse, sealer_of, signer_of

RATE_HZ = 48_000
UTC_S = 1_800_000_000
LAST_S, BACK_S = 900, 900 + 1_800  # the last mark before, and the first one after
TOLD_OFF_NS = 700_000
RNG = random.Random(3)


def sample_at(second: float) -> int:
    """The converter's crystal: 12 ppm fast, and as much as 0.5 ppm slower each hour."""
    fast = 12e-6 * second - 0.5e-6 * second * second / 7200
    return round((second + fast) * RATE_HZ)


@cache
def pairs(last_s: int) -> tuple[TimePair, ...]:
    """The sixteen marks up to that second."""
    seconds = range(last_s - 15, last_s + 1)
    utc = [(UTC_S + one) * NS_PER_S + round(RNG.gauss(0, 2_000)) for one in seconds]
    return time_pairs(list(zip(map(sample_at, seconds), utc, strict=True)))


def heard(last_s: int) -> Data:
    """An impulse that names the marks up to then."""
    return msgspec.structs.replace(impulse(), rate_hz=RATE_HZ, time_pairs=pairs(last_s))


def corrected(**changes: object) -> Correction:
    """What the node says a minute after the spell."""
    first_ns, mark_ns = (UTC_S + LAST_S) * NS_PER_S, (UTC_S + BACK_S) * NS_PER_S
    told_ns = mark_ns - TOLD_OFF_NS
    plain = Correction(
        first_utc_ns=str(first_ns),
        last_utc_ns=str(told_ns),
        knots=(
            Knot(after_ns=0, add_ns=0, sigma_ns=2_000),
            Knot(after_ns=told_ns - first_ns, add_ns=TOLD_OFF_NS, sigma_ns=2_000),
        ),
        told_utc_ns=str(told_ns),
        mark_utc_ns=str(mark_ns),
        mark_sample=sample_at(BACK_S),
        rate_hz=RATE_HZ,
        time_pairs=pairs(BACK_S + 60),
    )
    return msgspec.structs.replace(plain, **changes)


START = Start(
    software="1", settings_sha256="a" * 64, rate_hz=RATE_HZ, reason="clean", buffer_ms=msgspec.UNSET
)
USUAL: tuple[Data, ...] = (
    START, heard(600), heard(LAST_S), heard(LAST_S), corrected(), heard(BACK_S + 120)
)  # fmt: skip


def sealed(said: tuple[Data, ...]) -> list[Sealed]:
    """The chain of a node that says all this."""
    sealer, head, records = sealer_of("n1"), Head("c" * 32), []
    for data in said:
        records.append(sealer.seal(draft(data), head))
        head = records[-1].head
    return records


def audited(records: list[Sealed]) -> tuple[list[str], list[str]]:
    """Faults about corrections, and notes."""
    key = load_public_key(signer_of("n1").public_key())
    auditor = Auditor({identity_of("n1").source: key}, {})
    found = [one.what for sealed in records for one in auditor.record("x", sealed.envelope)]
    return [one for one in found if "Correction" in one], [one.what for one in auditor.notes]


def test_an_honest_correction_agrees_with_all_marks_around_it() -> None:
    """Before, within and after the spell, over half an hour of a crystal's curve."""
    assert audited(sealed(USUAL)) == ([], [])


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_an_export_that_begins_later_is_no_proof_against_it(cut: int) -> None:
    """Where marks from before are in it they count; where not, that is said."""
    faults, notes = audited(sealed(USUAL)[cut:])
    assert faults == []
    assert bool(notes) == (cut == 4)
    assert all("the marks before it lie before the export" in one for one in notes)


def test_after_a_restart_marks_of_the_run_before_tell_nothing() -> None:
    """Samples are counted anew: said, not held against it."""
    faults, notes = audited(sealed((START, corrected(), heard(BACK_S + 120))))
    assert faults == []
    assert "no record names marks before it since the clock began" in notes[0]


@pytest.mark.parametrize("place", [2, 4, 5])
def test_a_clock_that_began_anew_is_no_proof_against_it(place: int) -> None:
    """The host slept for an hour: samples stood still, UTC went on."""
    slept = TimebaseChange(before="locked", after="unsynchronised", reason="host slept for 3600 s")
    said = (*USUAL[:place], slept, *USUAL[place:])
    assert audited(sealed(said))[0] == []
    late = msgspec.structs.replace(heard(BACK_S + 120), time_pairs=pairs(BACK_S + 3_720)[:1])
    assert audited(sealed((*USUAL[:5], slept, late)))[0] == []


def test_where_sound_was_lost_samples_do_not_count_time() -> None:
    """Said too."""
    gap = Gap(first_sample=sample_at(1_500), lost_samples=400_000, reason="overrun")
    faults, notes = audited(sealed((*USUAL[:4], gap, *USUAL[4:])))
    assert faults == []
    assert "sound was lost" in notes[0]


def test_a_mark_within_the_spell_contradicts_it() -> None:
    """It says that there was none."""
    faults, _ = audited(sealed((*USUAL[:4], heard(LAST_S + 700), *USUAL[4:])))
    assert len(faults) == 1
    assert "record 5 names a mark within the spell" in faults[0]


def moved(correction: Correction, by_ns: int) -> Correction:
    """The same, with mark and own pairs moved, so that it agrees with itself."""
    first, *rest = correction.time_pairs
    first = msgspec.structs.replace(first, utc_ns=str(int(first.utc_ns) + by_ns))
    low, high = correction.knots
    return msgspec.structs.replace(
        correction,
        mark_utc_ns=str(int(correction.mark_utc_ns) + by_ns),
        knots=(low, msgspec.structs.replace(high, add_ns=high.add_ns + by_ns)),
        time_pairs=(first, *rest),
    )


@pytest.mark.parametrize("by_ms", [-100, 100])
def test_one_that_agrees_with_itself_but_not_with_the_samples_is_named(by_ms: int) -> None:
    """55 ppm over half an hour: no crystal does that. Samples that are too many contradict it; too
    few may have been lost untold, as devices do, and that is a note."""
    lie = moved(corrected(), by_ms * NS_PER_MS)
    faults, notes = audited(sealed((*USUAL[:4], lie)))
    assert len(faults) == (by_ms < 0)
    assert len(notes) == (by_ms > 0)
    assert f"the marks of record 3 {'to' if by_ms < 0 else 'on'}" in [*faults, *notes][0]


@pytest.mark.parametrize("by_ms", [-10, 10])
def test_one_that_the_marks_after_it_contradict_is_named(by_ms: int) -> None:
    """What the crystal might have done in the spell, but not in the minutes after."""
    lie = moved(corrected(), by_ms * NS_PER_MS)
    faults, notes = audited(sealed((*USUAL[:4], lie, heard(BACK_S + 120))))
    assert len(faults) == (by_ms > 0)
    assert len(notes) == (by_ms < 0)
    assert "ms off those of record 6" in [*faults, *notes][0]
