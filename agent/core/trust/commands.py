"""Commands from operators: what they may say, and whether one that came is to be obeyed.

A command is obeyed once, by the node it names, within minutes, if a pinned operator key signed
it. One that names the run that is to obey it is refused by every other, whatever clocks and disks
have done since. One without, written before anybody could ask, rests on what lasts from run to run:
what was obeyed, the latest time that was known, and the locator's receipts of this run. Obeying
is `app.commanddesk`'s; no verb returns sound.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import MAX_ENVELOPE_BYTES, SignsBytes, open_envelope, seal
from agent.core.records.fields import EpochNs, Frozen, Hex16, Hex32, Strict
from agent.core.records.kinds import COMMAND_TYPE, parse
from agent.core.records.remote_records import Verb
from agent.core.units import NS_PER_S
from agent.errors import RecordError, StoreError

MAX_LIFE_NS = 600 * NS_PER_S
MAX_AHEAD_NS = 10 * NS_PER_S
MAX_SIGMA_NS = NS_PER_S
UNSURE_NS = 20 * NS_PER_S  # a label, an edge or leap seconds: all that a second can be off by
# A run obeys nothing that the run before could have obeyed, whose clock was not quite the same.
FORGETFUL_NS = MAX_AHEAD_NS + 10 * MAX_SIGMA_NS
MAX_TAKEN = 1024
MAX_AGE_NS = MAX_LIFE_NS + FORGETFUL_NS  # by then all that an earlier run was told has expired
YOUNG_NS = 570 * NS_PER_S  # how long doubts about what an earlier run obeyed refuse an order

Value = str | int | float | bool


class Command(Strict, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator signs. `changes` are settings by name, none but for `set-config`.

    `boot` names the run that is to obey, as its status told it; only for nodes that take it.
    """

    id: Hex32
    source: str
    verb: Verb
    issued_utc_ns: EpochNs
    expires_utc_ns: EpochNs
    changes: dict[str, Value]
    boot: Hex32 | None = None


class Reply(Frozen, frozen=True, kw_only=True):
    """What came of a command, to whoever sent it; the record in the chain is what counts."""

    id: Hex32
    source: str
    outcome: str
    reason: str
    keyid: Hex16


@dataclass(frozen=True, slots=True)
class Order:
    """A message on the command topic of `verb`, as it came: nothing of it is certain."""

    host_ns: int
    verb: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Now:
    """The node's own time when a command came, and when its run began; None if not known.

    `age_ns` is how long this run has lasted. It began at `not_before_utc_ns` or later, by what was
    known before it and what the locator says; `is_witnessed` is True once the locator has
    receipted a record of this run. `alternatives` is what may be wrong with the second: with any
    an order has expired UNSURE_NS sooner, and where it is the date ("weeks") it must name the run.
    """

    utc_ns: int | None
    sigma_ns: int | None
    began_utc_ns: int | None
    age_ns: int = MAX_AGE_NS
    not_before_utc_ns: int = 0
    is_witnessed: bool = True
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command is not obeyed, and what is certain of it: nothing, if nobody signed."""

    reason: str
    command: Command | None = None
    keyid: str | None = None


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A command to be carried out, and the operator's key."""

    command: Command
    keyid: str


def seal_command(command: Command, operator: SignsBytes) -> bytes:
    """The envelope to publish. Raises MalformedRecord if oversized."""
    return seal(COMMAND_TYPE, msgspec.json.encode(command), operator)


class CommandJudge:
    """Judges what comes for one run of a node, and remembers what it obeyed, until that expired.

    `boot` names the run. `obeyed` is what earlier runs obeyed, the latest last: until when, by id;
    `remember` makes all of it last, before anything is done, and may raise StoreError.
    """

    def __init__(
        self,
        source: str,
        operators: Mapping[str, Ed25519PublicKey],
        boot: str = "",
        obeyed: Mapping[str, int] | None = None,
        remember: Callable[[Mapping[str, int]], None] = lambda obeyed: None,
    ) -> None:
        self._source, self._operators, self._boot = source, operators, boot
        self._until = dict([*(obeyed or {}).items()][-MAX_TAKEN // 2 :])
        self._taken_ns = dict.fromkeys(self._until, 0)  # at what age of this run
        self._remember = remember

    def judge(self, topic_verb: str, raw: bytes, now: Now) -> Obeyed | Refused:
        """What to do with one message on the topic of `topic_verb`. Never raises."""
        if len(raw) > MAX_ENVELOPE_BYTES:
            return Refused(f"{len(raw)} bytes, over {MAX_ENVELOPE_BYTES}")
        try:
            opened = open_envelope(raw, self._operators)
        except RecordError:
            return Refused("not signed by an operator of this node")
        if opened.payload_type != COMMAND_TYPE:
            return Refused("signed by an operator, but not as a command", None, opened.keyid)
        try:
            command = parse(opened.payload, Command)
        except RecordError:
            return Refused("signed by an operator, but malformed", None, opened.keyid)
        reason = self._objection(command, topic_verb, now) or self._take(command, now)
        if reason:
            return Refused(reason, command, opened.keyid)
        return Obeyed(command, opened.keyid)

    def _objection(self, command: Command, topic_verb: str, now: Now) -> str:
        """Why a command that an operator signed is not obeyed; empty if it is."""
        if command.source != self._source:
            return "addressed to another node"
        if command.verb != topic_verb:
            return "came on the topic of another verb"
        if command.changes and command.verb != "set-config":
            return "changes settings, but its verb does not"
        if now.utc_ns is None or now.sigma_ns is None or now.began_utc_ns is None:
            return "this node does not know the time: wait for its clock, then send it again"
        if now.sigma_ns > MAX_SIGMA_NS:
            return "this node knows the time too badly: wait for its clock, then send it again"
        unsure_ns = UNSURE_NS if now.alternatives else 0
        return self._untimely(command, now.utc_ns, unsure_ns) or self._repeated(command, now)

    def _untimely(self, command: Command, utc_ns: int, unsure_ns: int) -> str:
        issued_ns, expires_ns = int(command.issued_utc_ns), int(command.expires_utc_ns)
        if not issued_ns < expires_ns <= issued_ns + MAX_LIFE_NS:
            return f"is to live longer than {MAX_LIFE_NS // NS_PER_S} s, or not at all"
        if utc_ns >= expires_ns:
            return "expired"
        if utc_ns + unsure_ns >= expires_ns:
            return "may have expired, for this node is not sure of the second: send it again"
        if issued_ns > utc_ns + MAX_AHEAD_NS + unsure_ns:
            return "issued in the future: set the clock of the operator's computer"
        return ""

    def _repeated(self, command: Command, now: Now) -> str:
        """Why an earlier run, or this one, may have obeyed it; empty if none can have."""
        assert now.utc_ns is not None  # noqa: S101 - asked only where the time is known
        assert now.began_utc_ns is not None  # noqa: S101
        if command.id in self._until:
            return "obeyed before"
        if not self._has_room(now.utc_ns, now.age_ns):
            return f"{MAX_TAKEN} commands came within minutes: wait, then send it again"
        if command.boot is not None:
            is_ours = command.boot == self._boot
            return "" if is_ours else "meant for another run of the node: send it again"
        if "weeks" in now.alternatives:
            return "this node is not sure of the date: only an order that names its run is obeyed"
        began_ns, is_young = now.began_utc_ns, now.age_ns < YOUNG_NS
        if now.utc_ns + MAX_AHEAD_NS >= now.not_before_utc_ns:
            began_ns = max(began_ns, now.not_before_utc_ns)
        elif is_young:
            return "the clock is behind what it was before: set it, or send it again in 10 min"
        if int(command.issued_utc_ns) < began_ns + FORGETFUL_NS:
            return "issued before this run of the node had begun: send it again"
        if is_young and not now.is_witnessed:
            return "no receipt of a known time has come in this run yet: send it again"
        return ""

    def _take(self, command: Command, now: Now) -> str:
        """Remember it for good; why that cannot be, if it cannot."""
        fresh = {**self._until, command.id: int(command.expires_utc_ns)}
        try:
            self._remember(fresh)
        except StoreError as error:
            return f"it could not be remembered, and might be obeyed twice: {error}"
        self._until, self._taken_ns[command.id] = fresh, now.age_ns
        return ""

    def _has_room(self, utc_ns: int, age_ns: int) -> bool:
        """Forgets as late as it can, and only by both clocks: one may be wrong."""
        if len(self._until) >= MAX_TAKEN:
            self._until = {
                one: until
                for one, until in self._until.items()
                if until > utc_ns or age_ns - self._taken_ns[one] < MAX_AGE_NS
            }
            self._taken_ns = {one: self._taken_ns[one] for one in self._until}
        return len(self._until) < MAX_TAKEN
