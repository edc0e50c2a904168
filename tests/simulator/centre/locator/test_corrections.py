"""A node measures what its holdover did: incidents that rest on it move to where they were."""

from dataclasses import replace
from math import dist

import msgspec
import pytest

from agent.core.records.audit import Auditor
from agent.core.records.chain import Head
from agent.core.records.envelope import load_public_key
from agent.core.units import NS_PER_MS, NS_PER_S
from simulator.centre.locator.windows import CellBelief
from tests.support.cells import SHOT
from tests.support.corrected import CORRECTION, OFF_NS
from tests.support.drafts import draft, identity_of, sealer_of, signer_of
from tests.support.located import NODES_ENU_M, arrivals, fired, stations

N3 = "urn:earshot:lab:a:n3"


def held_over() -> CellBelief:
    """A cell that located a shot while n3 ran on its crystal alone, 25 ms ahead."""
    belief = CellBelief(stations(), 5 * NS_PER_S)
    for number, one in enumerate(arrivals(fired(0.0, SHOT), NODES_ENU_M)):
        astray = one.source == N3
        belief.hear(
            replace(
                one,
                record_id=f"{number:032x}/1",
                toa_utc_ns=one.toa_utc_ns + OFF_NS * astray,
                sigma_ns=30 * NS_PER_MS if astray else one.sigma_ns,
            ),
            0,
        )
    belief.settle(6 * NS_PER_S)
    return belief


def test_an_incident_moves_closer_to_the_truth_and_says_so() -> None:
    """Located with n3 25 ms off; after its correction within a metre, and it is noted."""
    belief = held_over()
    (before,) = belief.incidents
    assert belief.correct(N3, CORRECTION, 10 * NS_PER_S) == ""
    revision = belief.settle(16 * NS_PER_S)
    (after,) = revision.changed
    assert after.id == before.id
    assert before.enu_m is not None
    assert after.enu_m is not None
    assert dist(after.enu_m[:2], SHOT[:2]) < dist(before.enu_m[:2], SHOT[:2])
    assert dist(after.enu_m[:2], SHOT[:2]) < 1.0
    assert after.rounds[0].sigma1_m < before.rounds[0].sigma1_m
    assert after.notes == ("times of n3 corrected after a holdover",)
    assert before.notes == ()


def test_a_correction_that_comes_first_or_twice_changes_nothing_more() -> None:
    """Records overtake each other: the belief is the same."""
    late, early = held_over(), CellBelief(stations(), 5 * NS_PER_S)
    late.correct(N3, CORRECTION, 10 * NS_PER_S)
    late.settle(16 * NS_PER_S)
    assert late.correct(N3, CORRECTION, 20 * NS_PER_S) == ""
    assert late.settle(26 * NS_PER_S).changed == []
    early.correct(N3, CORRECTION, 0)
    for one in held_over().arrivals:
        early.hear(one, 0)
    early.settle(6 * NS_PER_S)
    assert early.incidents == late.incidents


def test_one_that_contradicts_its_mark_is_not_used() -> None:
    """It adds what its own mark does not say: refused with the reason, and nothing moves."""
    belief = held_over()
    bad = msgspec.structs.replace(CORRECTION, mark_utc_ns=CORRECTION.told_utc_ns)
    assert "where its mark says 0 ns" in belief.correct(N3, bad, 10 * NS_PER_S)
    assert belief.settle(16 * NS_PER_S).changed == []


@pytest.mark.parametrize(("said", "faults"), [(CORRECTION, 0), ("bad", 1)])
def test_verify_holds_a_correction_against_its_marks(said: object, faults: int) -> None:
    """`earshot verify`: a sealed one that is sound passes, one that is not is told."""
    bad = msgspec.structs.replace(CORRECTION, mark_utc_ns=CORRECTION.told_utc_ns)
    told = CORRECTION if said is CORRECTION else bad
    sealer = sealer_of("n1")
    record = sealer.seal(draft(told), Head("c" * 32))
    key = load_public_key(signer_of("n1").public_key())
    auditor = Auditor({identity_of("n1").source: key}, {})
    found = [one.what for one in auditor.record("line 1", record.envelope)]
    assert len([one for one in found if "Correction" in one]) == faults
    assert len(found) == faults
