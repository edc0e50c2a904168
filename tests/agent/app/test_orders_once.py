"""Orders once: replay x restart x clock step x rollback of the store, run by run in virtual time.

Desk, judge, witness, files and outbox are the node's own; a test only says what time it truly is,
how wrong the node's clock is, what happened to its disk, and whether the locator is there.
"""

import secrets
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.adapters.knowntime import KnownTime
from agent.adapters.obeyed import ObeyedFile
from agent.adapters.outbox import SqliteOutbox
from agent.app.commanddesk import CommandDesk
from agent.app.witness import Witness
from agent.core.records.envelope import load_public_key
from agent.core.records.kinds import TimeQuality
from agent.core.records.remote_records import CommandOutcome
from agent.core.trust import Command, CommandJudge
from agent.core.trust.commands import YOUNG_NS, Order, seal_command
from agent.core.units import NS_PER_S, rfc3339
from agent.errors import StoreError
from tests.agent.app.test_commanddesk import GOOD, Trial
from tests.support.drafts import (
    UTC_NS,
    draft,
    heartbeat,
    identity_of,
    receipt,
    sealer_of,
    signer_of,
)

OPERATOR = signer_of("operator")
SOURCE = identity_of("n1").source
SECOND, MINUTE = NS_PER_S, 60 * NS_PER_S
STEPS_S = (-86_400, -3_600, -60, -15, 0, 15, 60, 3_600, 86_400)
DISKS = ("intact", "rolled back", "obeyed lost", "outbox rolled back")
AFTER_S = (1, 25, 61, 300, 540)


class Run:
    """One run of the node, from `began_ns` true time on, with a clock that is wrong by `step_s`."""

    def __init__(self, home: Path, began_ns: int, step_s: float, *, locator: bool) -> None:
        self.boot = secrets.token_hex(16)
        self.began_ns, self.step_s, self.locator = began_ns, step_s, locator
        self.known, obeyed = KnownTime(home / "known-utc"), ObeyedFile(home / "obeyed")
        self.outbox = SqliteOutbox(
            home / "o.db", sealer_of("n1"), lambda: secrets.token_hex(16), durable=False
        )
        self.witness = Witness(self.outbox.found, self.known.utc_ns)
        operators = {OPERATOR.keyid: load_public_key(OPERATOR.public_key())}
        self.desk = CommandDesk(
            CommandJudge(SOURCE, operators, self.boot, obeyed.ids, obeyed.keep),
            sealer_of("n1"),
            Trial(),
            lambda: pytest.fail("no key is changed here"),
            lambda *reply: None,
            lambda reason: None,
            lambda host_ns: GOOD,
            witness=self.witness,
        )
        list(self.desk.pass_time(0))
        self.outbox.append(draft(heartbeat()))
        self.is_told = False
        self.alternatives: tuple[str, ...] = ()

    def take(self, command: Command, true_ns: int) -> str:
        """What came of a command: "done", or why not."""
        self.live(true_ns)
        order = Order(true_ns - self.began_ns, command.verb, seal_command(command, OPERATOR))
        utc_ns = true_ns + round(self.step_s * SECOND)
        said = [*self.desk.take(order, utc_ns, 1_000, heartbeat, clock_of(self.alternatives))]
        for data in said:
            self.outbox.append(draft(data))
        outcome = said[-1]
        assert isinstance(outcome, CommandOutcome)
        return outcome.reason or outcome.outcome

    def live(self, true_ns: int) -> None:
        """What happens by then: the locator receipts all, once a minute at least."""
        self.known.keep(true_ns + round(self.step_s * SECOND))
        if self.locator:
            told_ns = true_ns if self.is_told else self.began_ns + 2 * SECOND
            told = receipt("n1", self.outbox.head())
            self.witness.hear(replace(told, received_at=rfc3339(told_ns)))
            self.is_told = True

    def kill(self) -> None:
        self.outbox.close(clean=False)


def clock_of(alternatives: tuple[str, ...]) -> TimeQuality:
    """A clock that is not sure of its second where there are alternatives."""
    unsure = {"confirmed": False, "alternatives": alternatives} if alternatives else {}
    return replace(draft().clock, **unsure)


def order(true_ns: int, boot: str | None = None, life_s: int = 600) -> Command:
    return Command(
        id=secrets.token_hex(16),
        source=SOURCE,
        verb="ping",
        issued_utc_ns=str(true_ns),
        expires_utc_ns=str(true_ns + life_s * SECOND),
        changes={},
        boot=boot,
    )


def after_a_kill(home: Path, disk: str, *, is_addressed: bool) -> tuple[Command, int]:
    """A node has obeyed an order, was killed, and this came of its disk; the order, and when."""
    run = Run(home, UTC_NS, 0, locator=True)
    run.live(UTC_NS + 3_600 * SECOND)
    shutil.copytree(home, home.with_name("before"))
    given_ns = UTC_NS + 3_620 * SECOND
    command = order(given_ns, run.boot if is_addressed else None)
    assert run.take(command, given_ns + SECOND) == "done"
    assert run.take(command, given_ns + 2 * SECOND) == "obeyed before"
    run.kill()
    before = home.with_name("before")
    if disk == "rolled back":
        shutil.rmtree(home)
        before.rename(home)
    elif disk == "obeyed lost":
        (home / "obeyed").unlink()
    elif disk == "outbox rolled back":
        for one in home.glob("o.db*"):
            one.unlink()
        for one in before.glob("o.db*"):
            shutil.copy(one, home)
    return command, given_ns + 5 * SECOND


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("is_addressed", [True, False])
@pytest.mark.parametrize("locator", [True, False])
def test_no_order_is_obeyed_twice(
    tmp_path: Path, disk: str, is_addressed: bool, locator: bool
) -> None:
    """Whatever disk and clock do over a restart: a replay is refused, with a reason, at any time
    at which a good clock would still take the order."""
    (tmp_path / "first").mkdir()
    command, again_ns = after_a_kill(tmp_path / "first", disk, is_addressed=is_addressed)
    for step_s in STEPS_S:
        home = tmp_path / f"by {step_s}"
        shutil.copytree(tmp_path / "first", home)
        run = Run(home, again_ns, step_s, locator=locator)
        for after_s in AFTER_S:
            outcome = run.take(command, again_ns + after_s * SECOND)
            assert outcome not in ("done", ""), f"clock {step_s} s off, after {after_s} s"
        run.kill()


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("step_s", STEPS_S)
@pytest.mark.parametrize("locator", [True, False])
def test_nobody_is_locked_out(tmp_path: Path, disk: str, step_s: float, locator: bool) -> None:
    """A run with a bad clock, and all that it left on the disk: with a good clock new orders are
    obeyed at once where they name the run, and within ten minutes where they do not."""
    (tmp_path / "n").mkdir()
    _, now_ns = after_a_kill(tmp_path / "n", disk, is_addressed=True)
    bad = Run(tmp_path / "n", now_ns, step_s, locator=locator)
    bad.take(order(now_ns + 30 * SECOND), now_ns + 30 * SECOND)
    bad.live(now_ns + 300 * SECOND)
    bad.kill()
    now_ns += 310 * SECOND
    run = Run(tmp_path / "n", now_ns, 0, locator=locator)
    at_ns = now_ns + 25 * SECOND
    assert run.take(order(at_ns, run.boot), at_ns) == "done"
    if locator:
        assert run.take(order(at_ns), at_ns) == "done"
    at_ns = now_ns + YOUNG_NS + 25 * SECOND
    assert at_ns < now_ns + 10 * MINUTE
    assert run.take(order(at_ns), at_ns) == "done"
    run.kill()


@pytest.mark.parametrize("step_s", [-3_600, 3_600, 10**9])
def test_a_clock_that_comes_right_within_a_run_takes_orders_again(
    tmp_path: Path, step_s: float
) -> None:
    """As soon as it is right, for what names the run; and nothing that was obeyed comes again."""
    run = Run(tmp_path, UTC_NS, step_s, locator=True)
    first = order(UTC_NS + round((60 + step_s) * SECOND), run.boot)  # of an operator just as wrong
    assert run.take(first, UTC_NS + 61 * SECOND) == "done"
    run.step_s = 0
    now_ns = UTC_NS + 120 * SECOND
    assert run.take(order(now_ns, run.boot), now_ns) == "done"
    assert run.take(order(now_ns), now_ns) == "done"
    assert run.take(first, now_ns) not in ("done", "")
    run.step_s = step_s
    assert run.take(first, now_ns) == "obeyed before"
    run.kill()


def test_a_locator_whose_clock_ran_ahead_locks_nobody_out(tmp_path: Path) -> None:
    """Its first receipt of this run with a good clock counts, whatever it said before."""
    run = Run(tmp_path, UTC_NS, 0, locator=False)
    run.outbox.append(draft())
    run.kill()
    run = Run(tmp_path, UTC_NS + MINUTE, 0, locator=False)
    now_ns = UTC_NS + 5 * MINUTE
    told = receipt("n1", run.outbox.head())
    run.witness.hear(replace(told, received_at=rfc3339(now_ns + 10**9 * SECOND)))
    assert "behind what it was" in run.take(order(now_ns), now_ns)
    run.witness.hear(replace(told, received_at=rfc3339(now_ns)))
    assert run.take(order(now_ns + MINUTE), now_ns + MINUTE) == "done"
    run.kill()


def test_a_receipt_whose_time_nobody_vouches_for_tells_nothing(tmp_path: Path) -> None:
    """A centre with a bare clock, far ahead: nobody is locked out, and an order without the name
    of a run waits until the run is old enough, as without a locator."""
    run = Run(tmp_path, UTC_NS, 0, locator=False)
    run.outbox.append(draft())
    run.kill()
    run = Run(tmp_path, UTC_NS + MINUTE, 0, locator=False)
    bare = replace(receipt("n1", run.outbox.head()), clock="nobody", bound_ms=None)
    run.witness.hear(replace(bare, received_at=rfc3339(UTC_NS + 10**9 * SECOND)))
    now_ns = UTC_NS + 5 * MINUTE
    assert "no receipt of a known time" in run.take(order(now_ns), now_ns)
    assert run.take(order(now_ns, run.boot), now_ns) == "done"
    later_ns = now_ns + 10 * MINUTE
    assert run.take(order(later_ns), later_ns) == "done"
    run.kill()


@pytest.mark.parametrize("alternatives", [("label",), ("leap", "edge"), ("weeks",)])
def test_expiry_allows_for_what_may_be_wrong_with_the_second(
    tmp_path: Path, alternatives: tuple[str, ...]
) -> None:
    """A node that is not sure of its second takes no order that may be over; where it is not even
    sure of the date an order must name its run."""
    run = Run(tmp_path, UTC_NS, 0, locator=True)
    run.alternatives, now_ns = alternatives, UTC_NS + 20 * MINUTE
    assert "may have expired" in run.take(order(now_ns - 45 * SECOND, run.boot, 60), now_ns)
    assert run.take(order(now_ns - 5 * SECOND, run.boot, 60), now_ns) == "done"
    assert run.take(order(now_ns + 25 * SECOND, run.boot, 60), now_ns) == "done"
    unnamed = run.take(order(now_ns), now_ns)
    assert ("not sure of the date" in unnamed) == ("weeks" in alternatives)
    run.alternatives = ()
    assert run.take(order(now_ns - 45 * SECOND, run.boot, 60), now_ns) == "done"
    run.kill()


def test_what_cannot_be_remembered_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not keep the id: the order is refused, says why, and may come again."""
    run = Run(tmp_path, UTC_NS, 0, locator=True)
    now_ns, disk = UTC_NS + MINUTE, [True]

    def keep(ids: object) -> None:
        if disk[0]:
            raise StoreError("obeyed: cannot be written: No space left on device")

    monkeypatch.setattr(run.desk._judge, "_remember", keep)
    command = order(now_ns, run.boot)
    assert "No space left on device" in run.take(command, now_ns)
    disk[0] = False
    assert run.take(command, now_ns + SECOND) == "done"
    run.kill()


@pytest.mark.parametrize("left", [b"", b"\xff\xff", b"a b\n", b"0" * 60, b"0" * 32 + b" 1\nx"])
def test_a_file_of_obeyed_ids_that_is_damaged_stops_nothing(tmp_path: Path, left: bytes) -> None:
    """What can be read of it counts; the next order writes it anew."""
    (tmp_path / "obeyed").write_bytes(left)
    file = ObeyedFile(tmp_path / "obeyed")
    assert set(file.ids) <= {"0" * 32}
    file.keep({**file.ids, "1" * 32: 5})
    assert ObeyedFile(tmp_path / "obeyed").ids["1" * 32] == 5
