"""One evidence key after another: how a key names its heir, and which key counts where.

A `KeyChange` is signed by the old key as a record and by the new one inside. Everyone who knows
the registered key can follow from there; where keys are kept is the adapters' matter.
"""

import base64
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.core.records.envelope import SignsBytes, key_id, load_public_key, pae
from agent.core.records.kinds import Body
from agent.core.records.remote_records import KeyChange
from agent.errors import ForgedRecord, KeyFileError

_STATEMENT_TYPE = "application/vnd.earshot.succession.v1"


class Heir(SignsBytes, Protocol):
    """The part of the Signer port that a succession needs."""

    def public_key(self) -> bytes: ...


def statement(source: str, keyid: str, heir: bytes) -> bytes:
    """What the new key signs: of which node it is (`source`) and which key (`keyid`) it follows."""
    return pae(_STATEMENT_TYPE, f"{source} {keyid} {heir.hex()}".encode())


def change_to(heir: Heir, source: str, keyid: str) -> KeyChange:
    """The record with which the key `keyid` of `source` hands over to `heir`."""
    key = heir.public_key()
    proof = heir.sign(statement(source, keyid, key))
    return KeyChange(
        keyid=heir.keyid,
        key=base64.b64encode(key).decode(),
        proof=base64.b64encode(proof).decode(),
    )


def heir_of(source: str, keyid: str, change: KeyChange) -> Ed25519PublicKey:
    """The key that `change` hands over to, which has agreed. Raises ForgedRecord."""
    raw = base64.b64decode(change.key)
    try:
        key = load_public_key(raw)
        key.verify(base64.b64decode(change.proof), statement(source, keyid, raw))
    except (KeyFileError, InvalidSignature):
        raise ForgedRecord(f"the new key {change.keyid} of {source} has not signed") from None
    if key_id(key) != change.keyid:
        raise ForgedRecord(f"the new key of {source} is not {change.keyid}, as its record says")
    return key


class KeyLine:
    """The keys of one node: the registered one, and those that followed.

    Within a chain each key counts up to the record that hands over, whenever it comes. A chain
    begins with the latest key known. With `by_time` it may have begun with an earlier one, if its
    first record claims a time before that was replaced: for an export, whose chains come in no
    order and whose receipts tell what was known when.
    """

    def __init__(self, registered: Ed25519PublicKey, *, by_time: bool = False) -> None:
        self.keys = {key_id(registered): registered}
        self._by_time = by_time
        self._handovers: list[tuple[str, int, str]] = []
        self._began_with: dict[str, int] = {}

    def check(self, body: Body) -> None:
        """Whether the key of a verified record was in force at its place, and its heir is true.

        Raises ForgedRecord.
        """
        expected = self._began_with.get(body.chain, len(self._handovers))
        signed_by = list(self.keys).index(body.keyid)
        if self._by_time and body.chain not in self._began_with and signed_by < expected:
            is_earlier = isinstance(body.time, str) and body.time < self._handovers[signed_by][2]
            expected = signed_by if is_earlier else expected
        for number, (chain, seq, _) in enumerate(self._handovers):
            if chain == body.chain and body.seq > seq:
                expected = max(expected, number + 1)
        if signed_by != expected:
            raise ForgedRecord(f"key {body.keyid} was not the one in force at record {body.id}")
        if change := self._names_heir(body):
            heir_of(body.source, body.keyid, change)

    def begin(self, chain: str, keyid: str) -> None:
        """The first record that was kept of `chain` is signed by `keyid`."""
        self._began_with.setdefault(chain, list(self.keys).index(keyid))

    def follow(self, body: Body) -> None:
        """Take in a record that was checked and is kept."""
        self.begin(body.chain, body.keyid)
        if change := self._names_heir(body):
            time = body.time if isinstance(body.time, str) else ""
            self.keys[change.keyid] = heir_of(body.source, body.keyid, change)
            self._handovers.append((body.chain, body.seq, time))

    def _names_heir(self, body: Body) -> KeyChange | None:
        """The change of keys that `body` makes; one that is said again makes none."""
        change = body.data
        return change if isinstance(change, KeyChange) and change.keyid not in self.keys else None
