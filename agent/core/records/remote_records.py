"""What changes a node from afar, as records: commands and what came of them, settings, keys.

Whether a command is obeyed is `trust.commands`' matter, which key signs from when on is
`succession`'s.
"""

from typing import Annotated, Literal

from msgspec import Meta

from agent.core.records.fields import Frozen, Hex16, Hex32, Hex64, Seq

Verb = Literal["ping", "report-now", "set-config", "rotate-key"]
MAX_REASON_LETTERS = 240
Reason = Annotated[str, Meta(max_length=MAX_REASON_LETTERS)]
Base64Key = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{43}=$")]
Base64Signature = Annotated[str, Meta(pattern="^[A-Za-z0-9+/]{86}==$")]


class CommandOutcome(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="command"):
    """One command that came, or `count` refused ones that came faster than they are told apart.

    `keyid` is the operator's whose signature held; what nobody signed says neither `id` nor
    `verb` for certain.
    """

    id: Hex32 | None
    verb: Verb | None
    outcome: Literal["done", "refused", "failed"]
    reason: Reason
    keyid: Hex16 | None
    count: Seq


class ConfigChange(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="config"):
    """Other settings are in effect, or on trial; `before` and `after` are their digests."""

    before: Hex64
    after: Hex64
    outcome: Literal["trying", "kept", "reverted"]
    reason: Reason


class KeyChange(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="key"):
    """The last record that the old key signs; `key` (32 bytes) signs from the next one on.

    `proof` is the new key's signature over `succession.statement`: it was there and agreed.
    """

    keyid: Hex16
    key: Base64Key
    proof: Base64Signature
