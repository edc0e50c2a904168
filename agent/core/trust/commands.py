"""Commands from operators: what they may say, and whether one that came is to be obeyed.

A command is obeyed once, by the node it names, within minutes, if a pinned operator key signed
it. A node that has forgotten its past by restarting takes none that was made before. Obeying is
`app.commanddesk`'s; no verb returns sound.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import MAX_ENVELOPE_BYTES, SignsBytes, open_envelope, seal
from agent.core.records.fields import EpochNs, Frozen, Hex16, Hex32, Strict
from agent.core.records.kinds import COMMAND_TYPE, parse
from agent.core.records.remote_records import Verb
from agent.core.units import NS_PER_S
from agent.errors import RecordError

MAX_LIFE_NS = 600 * NS_PER_S
MAX_AHEAD_NS = 10 * NS_PER_S
MAX_SIGMA_NS = NS_PER_S
# A run obeys nothing that the run before could have obeyed, whose clock was not quite the same.
FORGETFUL_NS = MAX_AHEAD_NS + 10 * MAX_SIGMA_NS
MAX_TAKEN = 1024

Value = str | int | float | bool


class Command(Strict, frozen=True, kw_only=True):
    """What an operator signs. `changes` are settings by name, none but for `set-config`."""

    id: Hex32
    source: str
    verb: Verb
    issued_utc_ns: EpochNs
    expires_utc_ns: EpochNs
    changes: dict[str, Value]


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
    """The node's own time when a command came, and when its run began; None if not known."""

    utc_ns: int | None
    sigma_ns: int | None
    began_utc_ns: int | None


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
    """Judges what comes for one node, and remembers what it obeyed, at least until that expired."""

    def __init__(self, source: str, operators: Mapping[str, Ed25519PublicKey]) -> None:
        self._source, self._operators = source, operators
        self._taken: dict[str, int] = {}

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
        reason = self._objection(command, topic_verb, now)
        if reason:
            return Refused(reason, command, opened.keyid)
        self._taken[command.id] = int(command.expires_utc_ns)
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
        return self._untimely(command, now.utc_ns, now.began_utc_ns)

    def _untimely(self, command: Command, utc_ns: int, began_utc_ns: int) -> str:
        issued_ns, expires_ns = int(command.issued_utc_ns), int(command.expires_utc_ns)
        if not issued_ns < expires_ns <= issued_ns + MAX_LIFE_NS:
            return f"is to live longer than {MAX_LIFE_NS // NS_PER_S} s, or not at all"
        if utc_ns >= expires_ns:
            return "expired"
        if issued_ns > utc_ns + MAX_AHEAD_NS:
            return "issued in the future: set the clock of the operator's computer"
        if command.id in self._taken:
            return "obeyed before"
        if not self._has_room(utc_ns):
            return f"{MAX_TAKEN} commands came within minutes: wait, then send it again"
        if issued_ns < began_utc_ns + FORGETFUL_NS:
            return "issued before this run of the node had begun: send it again"
        return ""

    def _has_room(self, utc_ns: int) -> bool:
        """Forgets as late as it can, for a clock may go wrong and come back."""
        if len(self._taken) >= MAX_TAKEN:
            self._taken = {one: until for one, until in self._taken.items() if until > utc_ns}
        return len(self._taken) < MAX_TAKEN
