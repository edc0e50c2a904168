"""A fleet's run: bounded, repeatable, complete, and honest when it is not."""

import math
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from agent.errors import LinkError, StoreError
from simulator.grid import grid
from simulator.grid.grid import Grid
from simulator.grid.pace import LivePace, VirtualPace
from simulator.grid.virtual_broker import VirtualBroker
from tests.support.links import World
from tests.support.runs import SEED, plans_of

SHOT_ENU_M = (120.0, 165.0)


def virtual(plans, seed=SEED, directory=None, **limits):
    told = []
    result = grid.run(
        plans,
        seed=seed,
        mode="virtual",
        broker=None,
        directory=directory,
        progress=told.append,
        **limits,
    )
    return result, told


@pytest.mark.parametrize(
    ("sizes", "max_alive", "expected"),
    [
        ([2, 2, 2], 4, [4, 2]),
        ([3, 3], 4, [3, 3]),
        ([9, 1], 4, [9, 1]),
        ([1, 9], 4, [1, 9]),
        ([4, 4], 1, [4, 4]),
        ([], 4, []),
    ],
)
def test_batches_are_bounded_and_part_no_cell(sizes, max_alive, expected):
    """As many whole cells as fit, in their order; a cell that is too large runs alone."""
    plan = plans_of()[0]
    plans = [
        replace(plan, cell=f"c{cell}", node=f"n{node}")
        for node in range(max(sizes, default=0))
        for cell, size in enumerate(sizes)
        if node < size
    ]
    made = list(grid.batches(plans, max_alive))
    assert [len(batch) for batch in made] == expected
    cells = [{plan.cell for plan in batch} for batch in made]
    assert sum(map(len, cells)) == len(sizes)


def test_a_virtual_run_is_whole_and_repeatable():
    """Every record verified, the shot found, and the same bytes when it is run again."""
    result, _ = virtual(plans_of())
    assert result.chain_faults == []
    assert result.records_published == result.records_verified == result.counters.admitted
    (incident,) = [one for one in result.incidents if one.status == "located"]
    assert math.dist(incident.enu_m[:2], SHOT_ENU_M) < 2.0
    assert set(result.chains) == {plan.source for plan in plans_of()}
    assert len({arrival.source for arrival in result.arrivals}) == 5
    assert result.broker == "virtual"
    again, _ = virtual(plans_of())
    assert again.chains == result.chains
    assert again.incidents == result.incidents


def test_another_seed_is_another_fleet():
    """Keys and chains differ, what is heard does not."""
    one, other = (virtual(plans_of(), seed=seed)[0] for seed in (SEED, SEED + 1))
    assert not set(one.chains.values()) & set(other.chains.values())
    assert [a.toa_utc_ns for a in one.arrivals] == [a.toa_utc_ns for a in other.arrivals]


def test_batches_change_nothing_that_is_signed():
    """Two cells at once or one after the other: the same records and incidents."""
    plans = plans_of(cells=("a", "b"))
    together, _ = virtual(plans)
    apart, told = virtual(plans, max_alive=5)
    assert together.chains == apart.chains
    assert together.incidents == apart.incidents
    assert len(together.incidents) == 2 * len(virtual(plans_of())[0].incidents)
    assert max(one.nodes_done for one in told) == 10


def test_hardware_is_made_when_its_turn_comes():
    """No more than a batch of sounds is ever in memory."""
    alive = []

    def counted(plan):
        def hardware():
            alive.append(plan.cell)
            return plan.hardware()

        return replace(plan, hardware=hardware)

    seen = []
    grid.run(
        [counted(plan) for plan in plans_of(cells=("a", "b"))],
        seed=SEED,
        mode="virtual",
        broker=None,
        directory=None,
        progress=lambda now: seen.append((now.nodes_done, len(alive))),
        max_alive=5,
    )
    assert (0, 5) in seen
    assert all(made == 5 for done, made in seen[1:] if done < 5)
    assert len(alive) == 10


def test_progress_only_grows_and_ends_complete():
    """What a bar shows never runs backwards, and ends with nothing left to receipt."""
    result, told = virtual(plans_of())
    for earlier, later in pairwise(told):
        assert later.audio_s >= earlier.audio_s
        assert later.records >= earlier.records
        assert later.nodes_done >= earlier.nodes_done
    last = told[-1]
    assert (last.nodes_done, last.nodes, last.backlog) == (5, 5, 0)
    assert last.records == result.records_published
    assert last.audio_s == pytest.approx(result.audio_s) == pytest.approx(5 * 24.0, rel=0.02)


def test_the_store_is_kept_where_it_was_asked_for(tmp_path):
    """It holds the whole run; a second run into the same folder is refused in one line."""
    virtual(plans_of(), directory=tmp_path)
    assert (tmp_path / grid.STORE_NAME).stat().st_size > 0
    with pytest.raises(StoreError, match="exists; give each run a folder of its own"):
        virtual(plans_of(), directory=tmp_path)


def test_records_without_a_receipt_end_the_run_with_a_name(tmp_path):
    """A broker that acknowledges and loses: the run fails, and says which node waits for what."""
    broker = VirtualBroker()
    run = Grid(plans_of(), SEED, tmp_path, World(broker).link, VirtualPace())
    run.await_locator()
    broker.forget()
    with pytest.raises(
        LinkError, match=r"^urn:earshot:lab:a:n\d: \d+ records without a receipt.* no receipt came$"
    ):
        run.run_batch(plans_of())
    run.close()


def test_a_broker_that_is_not_there_is_told(tmp_path):
    """One line with the reason, before any sound is heard."""
    broker = VirtualBroker()
    broker.kill()
    run = Grid(plans_of(), SEED, tmp_path, World(broker).link, VirtualPace())
    with pytest.raises(LinkError, match=r"the locator has no connection to the broker: .* running"):
        run.await_locator()
    run.close()


def test_live_sound_is_not_over_before_its_time():
    """A slice takes as long as its sound; nobody hears the future."""
    pace = LivePace()
    started_ns = time.monotonic_ns()
    ends_ns = [pace.after_slice() for _ in range(3)]
    assert ends_ns[-1] - started_ns >= 3 * pace.slice_ns
