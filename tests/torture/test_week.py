"""A week of one node: power cuts, outages of sky and broker, clocks that jump; nothing unexplained.

Seven virtual days, some three quarters of an hour. A trial that was stopped goes on with the day
after the last whole one: its folder is build/week, or EARSHOT_WEEK.
"""

import gc
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import Body
from agent.core.records.kinds import Gap, Heartbeat, Start, TimebaseChange
from agent.core.units import NS_PER_S
from simulator.centre.locator.store import EventStore
from tests.support.drafts import LOCATOR
from tests.support.week import BLOCK, DAY_S, NODE, RATE_HZ, Life, Plan, plan_of, tile

ROOT = Path(__file__).parents[2]
DAYS, GROWTH_KB = 7, 2_000
DRAIN_S = 3600


def measured(directory: Path) -> dict[str, int]:
    """What must not grow: memory that is in use, files and threads; and the files on the disk."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return {
        "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "open_files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "names": len(list(directory.iterdir())),
    }


def lived(directory: Path, plans: list[Plan]) -> Iterator[dict[str, int]]:
    """Day after day; those that an earlier trial has finished are read, not lived again."""
    life = Life(directory, tile())
    notes = directory.parent / f"{directory.name}.days"
    notes.mkdir(parents=True, exist_ok=True)
    for plan in plans:
        note, kept = notes / f"{plan.day}.json", notes / f"{plan.day}.store"
        if note.exists():
            yield json.loads(note.read_text("utf-8"))
            continue
        if plan.day and not (notes / f"{plan.day - 1}.json").exists():
            pytest.fail(f"{notes}: day {plan.day - 1} is missing: remove the folder")
        before = notes / f"{plan.day - 1}.store"
        if before.exists():  # a day that was stopped left the stores in its midst
            shutil.rmtree(directory)
            shutil.copytree(before, directory)
        day = life.live(plan, DRAIN_S if plan is plans[-1] else 0)
        told = {"pid": os.getpid(), "backlog": day.backlog, "steps": day.steps}
        told |= measured(directory)
        shutil.copytree(directory, kept, dirs_exist_ok=True)
        note.write_text(json.dumps(told), "utf-8")
        shutil.rmtree(before, ignore_errors=True)
        print(f"day {plan.day}: {told}", flush=True)
        yield told


def unexplained(plan: Plan, bodies: list[Body]) -> Iterator[str]:
    """What the records of one run leave open."""
    first = bodies[0].data
    wanted = "unclean" if plan.day else "new-store"
    if not isinstance(first, Start) or first.reason != wanted:
        yield f"began with {first}"
    gaps = [(one.data.first_sample, one.data.lost_samples) for one in bodies if _is(one, Gap)]
    if gaps != list(plan.losses):
        yield f"gaps {gaps}, lost were {plan.losses}"
    if any(not one.data.reason for one in bodies if _is(one, Gap) or _is(one, TimebaseChange)):
        yield "a change or gap without a reason"
    beats = [one for one in bodies if _is(one, Heartbeat)]
    if len(beats) < plan.length_s // 60 - 1:
        yield f"{len(beats)} heartbeats"
    for before, after in pairwise([bodies[0], *beats]):
        apart_ns = int(after.host_ns) - int(before.host_ns)
        samples = after.data.heard_samples + after.data.lost_samples
        if abs(samples - apart_ns * RATE_HZ / NS_PER_S) > 2 * BLOCK + 24_000:
            yield f"record {after.seq}: {samples} samples in {apart_ns} ns"
        if apart_ns > 63 * NS_PER_S:
            yield f"record {after.seq}: {apart_ns} ns after the heartbeat before"
    heard = sum(one.data.heard_samples for one in beats)
    lost = sum(one.data.lost_samples for one in beats)
    if abs(lost - sum(count for _, count in plan.losses)) > 24_000:
        yield f"{lost} samples told as lost"
    if heard + lost < (plan.length_s - 70) * RATE_HZ:
        yield f"{heard} heard and {lost} lost samples"


def _is(body: Body, kind: type) -> bool:
    return isinstance(body.data, kind)


def judged(directory: Path, plans: list[Plan]) -> list[str]:
    """All that is left open of all days, from what the locator holds."""
    known = Life(directory, np.zeros(1, np.int16)).stations
    keys = {source: one.key for source, one in known.items()}
    with closing(EventStore(directory / "locator.sqlite", keys, LOCATOR)) as store:
        told = [f"chain: {fault}" for fault in store.chain_faults()]
        bodies = [body for body in store.bodies() if body.source.endswith(f":{NODE}")]
    runs = {boot: list(run) for boot, run in groupby(bodies, lambda body: body.boot)}
    for plan in plans:
        run = runs.pop(f"{plan.day + 1:032x}", [])
        told += [f"day {plan.day}: {fault}" for fault in unexplained(plan, run)] if run else ["no"]
    return told + [f"run {boot} was never lived" for boot in runs]


def grown(days: list[dict[str, int]]) -> list[str]:
    """What is more after a day than after the first day of the same process."""
    told, first = [], dict[int, dict[str, int]]()
    for number, day in enumerate(days):
        base = first.setdefault(day["pid"], day)
        if day["rss_kb"] - base["rss_kb"] > GROWTH_KB:
            told.append(f"day {number}: {day['rss_kb'] - base['rss_kb']} kB more")
        for name in ("open_files", "threads", "names"):
            if day[name] > base[name]:
                told.append(f"day {number}: {day[name] - base[name]} more {name}")
    return told


@pytest.mark.torture
def test_seven_days_leave_nothing_unexplained_and_nothing_grows() -> None:
    """Each sample is heard or told as lost, each run has its beginning, each record arrives."""
    directory = Path(os.environ.get("EARSHOT_WEEK", ROOT / "build" / "week"))
    plans = [plan_of(day) for day in range(DAYS)]
    days = list(lived(directory, plans))
    assert judged(directory, plans) == []
    assert days[-1]["backlog"] == 0
    assert grown(days) == []
    shutil.rmtree(directory)
    shutil.rmtree(directory.parent / f"{directory.name}.days")


@pytest.mark.system
def test_short_days_leave_nothing_unexplained(tmp_path: Path) -> None:
    """Three days of twenty minutes, the same faults; stopped after two, and gone on with."""
    plans = [plan_of(day, 1200.0) for day in range(3)]
    two = list(lived(tmp_path / "week", plans[:2]))
    days = list(lived(tmp_path / "week", plans))
    assert days[:2] == two
    assert judged(tmp_path / "week", plans) == []
    assert days[-1]["backlog"] == 0


def test_what_is_left_open_is_noticed() -> None:
    """The control: a gap that nobody told, a missing heartbeat, a clean start after a cut."""
    plan = plan_of(1, float(DAY_S))
    assert list(unexplained(plan, [_start("clean")]))


def _start(reason: str) -> Body:
    from agent.core.records.chain import Head
    from agent.core.records.envelope import key_id, open_envelope
    from agent.core.records.kinds import parse
    from tests.support.drafts import draft, registry_of, sealer_of

    data = Start(software="x", settings_sha256="0" * 64, rate_hz=RATE_HZ, reason=reason)
    sealed = sealer_of("n1").seal(draft(data), Head("c" * 32))
    (key,) = registry_of("n1").values()
    return parse(open_envelope(sealed.envelope, {key_id(key): key}).payload, Body)
