"""Carries out commands, one after another, and tells the chain of each what came of it.

Refused ones are told too, REFUSALS at once and then one each REFUSAL_NS: what comes faster is
counted, for a flood must not fill the store. Whether to obey is `core.trust.commands`' matter.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

import msgspec

from agent.app.proof import Proof
from agent.app.witness import Witness
from agent.core.records import Sealer
from agent.core.records.kinds import REPLY_TYPE, Data, Heartbeat, TimeQuality
from agent.core.records.remote_records import (
    MAX_REASON_LETTERS,
    CommandOutcome,
    ConfigChange,
    KeyChange,
)
from agent.core.trust import Command, CommandJudge, Reply
from agent.core.trust.commands import Now, Obeyed, Order, Refused, Value
from agent.core.units import NS_PER_S
from agent.errors import EarshotError, SettingsError, TokenError

RESTART = "restart: new settings on trial"
RESTART_BEFORE = "restart: settings did not prove themselves"
REFUSALS = 10
REFUSAL_NS = 6 * NS_PER_S
TRIAL_NS = 60 * NS_PER_S
PROVE_NS = NS_PER_S
PATIENCE_NS = 150 * NS_PER_S


class SettingsTrial(Protocol):
    """Settings that are tried by one run, and kept once it has proved itself, else taken back."""

    @property
    def is_on_trial(self) -> bool:
        """True while this run tries settings that came from afar."""

    @property
    def was_locked(self) -> bool:
        """Whether the clock was locked before that trial."""

    def propose(self, changes: dict[str, Value], *, was_locked: bool) -> ConfigChange:
        """Try these from the next run on. Raises SettingsError."""

    def news(self) -> ConfigChange | None:
        """What became of the trial of an earlier run, told once."""

    def settle(self) -> ConfigChange | None:
        """Keep what has proved itself in this run. Raises SettingsError."""

    def give_up(self, reason: str) -> bool:
        """This run has failed: whether the next one has other settings. Raises SettingsError."""


class CommandDesk:
    """One node's desk. Nothing here waits, and what is yielded must be recorded at once.

    `hand_over` makes the record that names the next key; `post` publishes a reply by the id of
    its command; `restart` ends this run in order, for the reason RESTART or RESTART_BEFORE:
    the next one has other settings. `proof` tells what this run has shown by a host time, and
    `witness` when it began by the locator's word.
    What `when_kept` is given is done when all that was yielded so far is durable: then replies go
    out, signed by the key that is in force by then.
    """

    def __init__(
        self,
        judge: CommandJudge,
        sealer: Sealer,
        trial: SettingsTrial,
        hand_over: Callable[[], KeyChange],
        post: Callable[[str, bytes], None],
        restart: Callable[[str], None],
        proof: Callable[[int], Proof],
        when_kept: Callable[[Callable[[], None]], None] = lambda act: act(),
        witness: Witness | None = None,
    ) -> None:
        self._judge, self._sealer = judge, sealer
        self._trial, self._hand_over = trial, hand_over
        self._post, self._restart = post, restart
        self._proof, self._when_kept, self._witness = proof, when_kept, witness
        self._promised_key = ""
        self._began_ns: int | None = None
        self._prove_at_ns, self._is_settled = 0, False
        self._refusals_left, self._refilled_ns, self._untold = REFUSALS, 0, 0

    def pass_time(self, host_ns: int) -> Iterator[Data]:
        """What is to be said by now, unasked."""
        if self._began_ns is None:
            self._began_ns = host_ns
            while news := self._trial.news():
                yield news
        if not self._is_settled and host_ns >= self._prove_at_ns:
            self._prove_at_ns = host_ns + PROVE_NS  # once more, for the disk may have failed
            with suppress(SettingsError):
                if kept := self._prove(host_ns, host_ns - self._began_ns):
                    yield kept
        if self._untold and self._may_tell(host_ns):
            count, self._untold = self._untold, 0
            yield _refusal(Refused("refused commands came too fast to tell apart"), count)

    def take(
        self,
        order: Order,
        utc_ns: int | None,
        sigma_ns: int | None,
        report: Callable[[], Heartbeat],
        clock: TimeQuality | None = None,
    ) -> Iterator[Data]:
        """All that is to be said about `order`; the reply goes out when that is recorded.
        `clock` tells whether the second of `utc_ns` is confirmed."""
        age_ns = order.host_ns - (self._began_ns or 0)
        began_ns = None if utc_ns is None else utc_ns - age_ns
        now = Now(utc_ns, sigma_ns, began_ns, age_ns, alternatives=_open(clock))
        if seen := self._witness:
            not_before_ns = seen.not_before_utc_ns
            now = replace(now, not_before_utc_ns=not_before_ns, is_witnessed=seen.is_heard)
        judged = self._judge.judge(order.verb, order.payload, now)
        if isinstance(judged, Refused):
            if self._may_tell(order.host_ns):
                yield _refusal(judged)
            else:
                self._untold += 1
            if judged.command and judged.command.source == self._sealer.identity.source:
                self._reply(_refusal(judged))
        else:
            failure = ""
            try:
                yield from self._carry_out(judged.command, order.host_ns, report)
            except EarshotError as error:
                failure = str(error)[:MAX_REASON_LETTERS]
            outcome = _outcome(judged, failure)
            yield outcome
            self._reply(outcome)

    def _prove(self, host_ns: int, age_ns: int) -> ConfigChange | None:
        """Keep settings with which the node does its work, from TRIAL_NS on; give up others.

        What came from afar must have heard, stamped and been receipted; of the technician's own
        file, who stands at the pole, only hearing is asked.
        """
        if age_ns < TRIAL_NS:
            return None
        proof = self._proof(host_ns)
        doubt = proof.heard
        if self._trial.is_on_trial:
            doubt = proof.doubt(was_locked=self._trial.was_locked)
        if not doubt:
            kept = self._trial.settle()
            self._is_settled = True
            return kept
        if age_ns >= PATIENCE_NS:
            self._prove_at_ns = host_ns + PATIENCE_NS
            if self._trial.give_up(doubt):
                self._restart(RESTART_BEFORE)
        return None

    def _carry_out(
        self, command: Command, host_ns: int, report: Callable[[], Heartbeat]
    ) -> Iterator[Data]:
        match command.verb:
            case "ping":
                pass
            case "report-now":
                yield report()
            case "set-config":
                was_locked = self._proof(host_ns).is_locked
                yield self._trial.propose(command.changes, was_locked=was_locked)
                self._restart(RESTART)
            case "rotate-key":
                yield self._next_key()

    def _next_key(self) -> KeyChange:
        """The next key; while a failing disk keeps the last change waiting, it is the same one."""
        change = self._hand_over()
        if change.keyid == self._promised_key:
            raise EarshotError(
                f"key {change.keyid} is to follow already, once the disk can keep it"
            )
        self._promised_key = change.keyid
        return change

    def _reply(self, outcome: CommandOutcome) -> None:
        assert outcome.id is not None  # noqa: S101 - an operator signed the command
        assert outcome.keyid is not None  # noqa: S101
        reply = Reply(
            id=outcome.id,
            source=self._sealer.identity.source,
            outcome=outcome.outcome,
            reason=outcome.reason,
            keyid=outcome.keyid,
        )
        self._when_kept(partial(self._send, reply))

    def _send(self, reply: Reply) -> None:
        with suppress(TokenError):  # nothing can be signed now: the chain will tell
            sealed = self._sealer.seal_message(REPLY_TYPE, msgspec.json.encode(reply))
            self._post(reply.id, sealed)

    def _may_tell(self, host_ns: int) -> bool:
        fresh = (host_ns - self._refilled_ns) // REFUSAL_NS
        if fresh > 0:
            self._refusals_left = min(REFUSALS, self._refusals_left + fresh)
            self._refilled_ns += fresh * REFUSAL_NS
        if self._refusals_left:
            self._refusals_left -= 1
            return True
        return False


def _open(clock: TimeQuality | None) -> tuple[str, ...]:
    """What may be wrong with the second; empty where it is confirmed."""
    if clock is None or clock.confirmed is not False:
        return ()
    return clock.alternatives or ("label",)


def _outcome(obeyed: Obeyed, failure: str) -> CommandOutcome:
    return CommandOutcome(
        id=obeyed.command.id,
        verb=obeyed.command.verb,
        outcome="failed" if failure else "done",
        reason=failure,
        keyid=obeyed.keyid,
        count=1,
    )


def _refusal(refused: Refused, count: int = 1) -> CommandOutcome:
    command = refused.command
    return CommandOutcome(
        id=command.id if command else None,
        verb=command.verb if command else None,
        outcome="refused",
        reason=refused.reason,
        keyid=refused.keyid,
        count=count,
    )
