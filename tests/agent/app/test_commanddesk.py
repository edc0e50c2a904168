"""The desk: what an operator signed is done once and told in the chain; nothing else has effect."""

import secrets
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.app.commanddesk import PATIENCE_NS, REFUSALS, RESTART_BEFORE, TRIAL_NS, CommandDesk
from agent.app.proof import Proof
from agent.core.records import Sealer
from agent.core.records.envelope import load_public_key, seal
from agent.core.records.kinds import COMMAND_TYPE
from agent.core.records.remote_records import CommandOutcome, ConfigChange
from agent.core.records.succession import change_to
from agent.core.trust import Command, CommandJudge
from agent.core.trust.commands import FORGETFUL_NS, MAX_LIFE_NS, Order
from agent.core.units import NS_PER_S
from agent.errors import TokenError
from tests.support.drafts import heartbeat, identity_of, sealer_of, signer_of

SOURCE = identity_of("n1").source
OPERATOR = signer_of("operator")
BEGAN_UTC_NS = 1_795_000_000 * NS_PER_S
SIGMA_NS = 1000


class Trial:
    """Settings that take every change; `kept` and `given_up` are what became of this run's."""

    def __init__(self, *, is_from_afar: bool = False) -> None:
        self.is_on_trial = self.was_locked = is_from_afar
        self.kept, self.given_up = 0, []

    def propose(self, changes, *, was_locked):
        return ConfigChange(before="a" * 64, after="b" * 64, outcome="trying", reason=str(changes))

    def news(self):
        return None

    def settle(self):
        self.kept += 1

    def give_up(self, reason):
        self.given_up.append(reason)
        return True


GOOD = Proof(heard="", stamped="", receipted="", is_locked=True)


@dataclass
class Room:
    """One desk, the records it told, the replies and restarts it asked for.

    The disk keeps each change of keys at once, unless `is_failing`.
    """

    said: list = field(default_factory=list)
    replies: list = field(default_factory=list)
    restarts: list = field(default_factory=list)
    host_ns: int = 0
    heirs: int = 0
    is_failing: bool = False
    sealer: Sealer = field(default_factory=lambda: sealer_of("n1"))
    trial: Trial = field(default_factory=Trial)
    shown: Proof = GOOD

    def __post_init__(self) -> None:
        operators = {OPERATOR.keyid: load_public_key(OPERATOR.public_key())}
        self.desk = CommandDesk(
            CommandJudge(SOURCE, operators),
            self.sealer,
            self.trial,
            self.hand_over,
            lambda *reply: self.replies.append(reply),
            self.restarts.append,
            lambda host_ns: self.shown,
        )
        self.wait(0)
        self.wait(60 * NS_PER_S)

    def hand_over(self):
        self.heirs += not self.is_failing
        return change_to(signer_of(f"heir {self.heirs}"), SOURCE, identity_of("n1").keyid)

    def wait(self, for_ns: int) -> None:
        self.host_ns += for_ns
        self.said += self.desk.pass_time(self.host_ns)

    @property
    def utc_ns(self) -> int:
        return BEGAN_UTC_NS + self.host_ns

    def take(self, raw: bytes, verb: str = "ping", sigma_ns: int | None = SIGMA_NS) -> list:
        order = Order(self.host_ns, verb, raw)
        utc_ns = None if sigma_ns is None else self.utc_ns
        told = list(self.desk.take(order, utc_ns, sigma_ns, heartbeat))
        self.said += told
        return told

    def command(self, verb: str = "ping", **changed) -> Command:
        made = {
            "id": secrets.token_hex(16),
            "source": SOURCE,
            "verb": verb,
            "issued_utc_ns": str(self.utc_ns),
            "expires_utc_ns": str(self.utc_ns + 60 * NS_PER_S),
            "changes": {"log.level": "debug"} if verb == "set-config" else {},
        }
        return Command(**{**made, **changed})


def sealed(command: Command, signer=OPERATOR, payload_type: str = COMMAND_TYPE) -> bytes:
    return seal(payload_type, msgspec.json.encode(command), signer)


def test_each_verb_does_its_one_thing_and_is_told() -> None:
    """A command's effect is recorded first, then its outcome, and the operator gets a reply."""
    kinds = {
        "ping": [],
        "report-now": ["heartbeat"],
        "set-config": ["config"],
        "rotate-key": ["key"],
    }
    for verb, before in kinds.items():
        room = Room()
        told = room.take(sealed(room.command(verb)), verb)
        assert [one.__struct_config__.tag for one in told] == [*before, "command"]
        assert told[-1].outcome == "done"
        assert len(room.replies) == 1
        assert bool(room.restarts) == (verb == "set-config")


def test_a_key_that_waits_for_the_disk_is_not_named_twice() -> None:
    """Until the change of keys is kept, a second command of the kind fails and changes nothing."""
    room = Room(is_failing=True)
    assert room.take(sealed(room.command("rotate-key")), "rotate-key")[-1].outcome == "done"
    (told,) = room.take(sealed(room.command("rotate-key")), "rotate-key")
    assert told.outcome == "failed"
    assert "once the disk can keep it" in told.reason
    room.is_failing = False
    assert room.take(sealed(room.command("rotate-key")), "rotate-key")[-1].outcome == "done"


def test_a_command_is_obeyed_once() -> None:
    """The same bytes again, however soon or late, are refused."""
    room = Room()
    raw = sealed(room.command())
    assert room.take(raw)[0].outcome == "done"
    assert room.take(raw)[0].reason == "obeyed before"
    room.wait(MAX_LIFE_NS)
    assert room.take(raw)[0].reason == "expired"


def test_a_restart_does_not_make_an_old_command_new() -> None:
    """What the run before may have obeyed, this run refuses, without any memory on disk."""
    room = Room()
    issued = BEGAN_UTC_NS + FORGETFUL_NS - 1
    command = room.command(issued_utc_ns=str(issued), expires_utc_ns=str(issued + MAX_LIFE_NS))
    assert "before this run" in room.take(sealed(command))[0].reason


WRONG = {
    "unsigned by an operator": lambda room: (sealed(room.command(), signer_of("thief")), "ping", 1),
    "misaddressed": lambda room: (
        sealed(room.command(source=identity_of("n2").source)), "ping", 1),
    "wrong topic": lambda room: (sealed(room.command("rotate-key")), "ping", 1),
    "wrong type": lambda room: (sealed(room.command(), OPERATOR, "text/plain"), "ping", 1),
    "clock unknown": lambda room: (sealed(room.command()), "ping", None),
    "clock bad": lambda room: (sealed(room.command()), "ping", 2 * NS_PER_S),
    "oversized": lambda room: (sealed(room.command()) + b" " * 20_000, "ping", 1),
    "expired": lambda room: (
        sealed(room.command(expires_utc_ns=str(room.utc_ns))), "ping", 1),
    "eternal": lambda room: (
        sealed(room.command(expires_utc_ns=str(room.utc_ns + MAX_LIFE_NS + 1))), "ping", 1),
    "from the future": lambda room: (
        sealed(room.command(
            issued_utc_ns=str(room.utc_ns + 11 * NS_PER_S),
            expires_utc_ns=str(room.utc_ns + 60 * NS_PER_S))), "ping", 1),
    "ping with changes": lambda room: (sealed(room.command(changes={"a": 1})), "ping", 1),
}  # fmt: skip


@given(st.sampled_from(sorted(WRONG)))
def test_what_is_wrong_is_refused_with_a_reason_and_has_no_effect(wrong: str) -> None:
    """Each way of being wrong leaves one refused command in the chain and nothing else."""
    room = Room()
    (told,) = room.take(*WRONG[wrong](room))
    assert isinstance(told, CommandOutcome)
    assert told.outcome == "refused"
    assert told.reason
    assert not room.restarts


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_no_mutilated_command_has_an_effect(data: st.DataObject) -> None:
    """Bytes that nobody signed, and signed ones with any part altered, are refused; no crash."""
    room = Room()
    raw = bytearray(sealed(room.command("rotate-key")))
    if data.draw(st.booleans()):
        raw = bytearray(data.draw(st.binary(max_size=400)))
    else:
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
    told = room.take(bytes(raw), "rotate-key")
    assert [(type(one), one.outcome) for one in told] == [(CommandOutcome, "refused")]
    assert not room.replies


def test_a_flood_is_counted_and_does_not_fill_the_store() -> None:
    """Refusals beyond the allowance are told in one record with their number."""
    room = Room()
    for _ in range(500):
        room.take(b"garbage")
    told = [one for one in room.said if isinstance(one, CommandOutcome)]
    assert len(told) == REFUSALS
    room.wait(10 * NS_PER_S)
    assert sum(one.count for one in room.said if isinstance(one, CommandOutcome)) == 500


def test_without_a_token_orders_are_obeyed_and_nobody_is_answered() -> None:
    """The chain tells what was done once something can be signed again; the desk goes on."""

    class Away:
        keyid = identity_of("n1").keyid

        def sign(self, message: bytes) -> bytes:
            raise TokenError("token x is not there: plug it in")

    room = Room(sealer=Sealer(identity_of("n1"), Away()))
    raw = sealed(room.command())
    for outcome in ("done", "refused"):
        assert [one.outcome for one in room.take(raw)] == [outcome]
    assert room.replies == []


LACKS = {
    "not heard: silence": {"heard": "not heard: silence"},
    "not stamped: no mark": {"stamped": "not stamped: no mark"},
    "not stamped: the clock is not locked": {"is_locked": False},
    "not receipted: no broker": {"receipted": "not receipted: no broker"},
}


@pytest.mark.parametrize("told", LACKS)
@pytest.mark.parametrize("comes_at_last", [False, True])
def test_what_came_from_afar_is_kept_only_once_all_is_proved(
    told: str, comes_at_last: bool
) -> None:
    """Each lack alone keeps it from being kept; within three minutes it is given up, by the first
    thing that was missing, unless that comes in time."""
    room = Room(trial=Trial(is_from_afar=True), shown=replace(GOOD, **LACKS[told]))
    room.wait(30 * NS_PER_S)
    assert (room.trial.kept, room.trial.given_up) == (0, [])
    if comes_at_last:
        room.shown = GOOD
    room.wait(PATIENCE_NS)
    room.wait(PATIENCE_NS // 2)
    assert room.trial.kept == comes_at_last
    assert room.trial.given_up == ([] if comes_at_last else [told])
    assert room.restarts == ([] if comes_at_last else [RESTART_BEFORE])


def test_of_the_technicians_own_file_only_hearing_is_asked() -> None:
    """Who stands at the pole may set up a node that has neither network nor sky yet."""
    room = Room(shown=replace(GOOD, stamped="no time", receipted="no broker", is_locked=False))
    assert (room.trial.kept, room.restarts) == (1, [])
    deaf = Room(shown=replace(GOOD, heard="not heard: no sound"))
    deaf.wait(PATIENCE_NS)
    assert (deaf.trial.kept, deaf.trial.given_up) == (0, ["not heard: no sound"])


def test_nothing_is_kept_before_a_minute_has_passed() -> None:
    """A run that proves all at once may still die of its settings."""
    trial = Trial()
    desk = CommandDesk(None, None, trial, None, None, None, lambda host_ns: GOOD)
    for age_ns, kept in ((0, 0), (TRIAL_NS - NS_PER_S, 0), (TRIAL_NS, 1), (2 * TRIAL_NS, 1)):
        list(desk.pass_time(age_ns))
        assert trial.kept == kept
