"""Receipts in both forms: the brief one says the same, is as hard to forge, and much shorter."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.records.chain import Head
from agent.core.records.envelope import pae
from agent.core.records.messages import Receipt
from agent.core.records.receipts import BRIEF_TYPE, MARK, open_word, seal_receipt
from agent.errors import ForgedRecord, MalformedRecord, RecordError
from tests.support.drafts import LOCATOR, LOCATOR_KEYS, receipt, signer_of

RECEIPT = replace(
    receipt("n1", Head("c" * 32, 7, "d" * 64), extra=[(9, 12), (20, 20)]), software="0.2.0"
)
BRIEF = seal_receipt(RECEIPT, LOCATOR, is_brief=True)


@pytest.mark.parametrize("is_brief", [False, True])
def test_both_forms_say_the_same(is_brief: bool) -> None:
    """What was sealed comes back, field by field."""
    assert open_word(seal_receipt(RECEIPT, LOCATOR, is_brief=is_brief), LOCATOR_KEYS) == RECEIPT


def test_the_brief_form_is_less_than_half_as_long() -> None:
    """It is what a thin line carries each minute of its life."""
    plain = replace(RECEIPT, extra=(), software="0.2.0")
    long, brief = (len(seal_receipt(plain, LOCATOR, is_brief=one)) for one in (False, True))
    assert brief < long / 2


def test_nobody_else_can_say_it() -> None:
    """Another key's word is forged, whatever key id it claims."""
    other = seal_receipt(RECEIPT, signer_of("n1"), is_brief=True)
    with pytest.raises(ForgedRecord, match="unknown key"):
        open_word(other, LOCATOR_KEYS)
    with pytest.raises(ForgedRecord, match="does not hold"):
        open_word(MARK + bytes.fromhex(LOCATOR.keyid) + other[9:], LOCATOR_KEYS)


@given(st.integers(1, 8 * len(BRIEF) - 1), st.booleans())
def test_no_bit_of_it_can_be_changed_and_no_end_cut_off(at: int, is_cut: bool) -> None:
    """Every spoilt message is refused with an error of its own, and nothing else happens."""
    spoilt = bytearray(BRIEF)
    spoilt[at // 8] ^= 1 << at % 8
    with pytest.raises(RecordError):
        open_word(BRIEF[: at // 8] if is_cut else bytes(spoilt), LOCATOR_KEYS)


@pytest.mark.parametrize(
    ("field", "value"),
    [(0, 5), (1, b"c"), (2, -1), (2, 1 << 60), (3, b""), (4, [[1]]), (4, [[0, -1]]), (5, 5)],
)
def test_the_locators_own_key_cannot_say_what_is_no_receipt(field: int, value: object) -> None:
    """It is held to the same types as the long form."""
    said = msgspec.msgpack.decode(BRIEF[73:])
    said[field] = value
    payload = msgspec.msgpack.encode(said)
    signed = LOCATOR.sign(pae(BRIEF_TYPE, payload))
    with pytest.raises(MalformedRecord):
        open_word(MARK + bytes.fromhex(LOCATOR.keyid) + signed + payload, LOCATOR_KEYS)


def test_what_a_later_locator_adds_is_ignored() -> None:
    """In the brief form it comes at the end of the array."""
    payload = msgspec.msgpack.encode([*msgspec.msgpack.decode(BRIEF[73:]), {"of": "tomorrow"}])
    signed = LOCATOR.sign(pae(BRIEF_TYPE, payload))
    raw = MARK + bytes.fromhex(LOCATOR.keyid) + signed + payload
    assert open_word(raw, LOCATOR_KEYS) == RECEIPT


def test_what_is_neither_form_is_malformed() -> None:
    """An empty message, or one that begins with anything else."""
    for raw in (b"", b"\x02" + BRIEF[1:], json.dumps({}).encode()):
        with pytest.raises(MalformedRecord):
            open_word(raw, LOCATOR_KEYS)
    assert isinstance(open_word(BRIEF, LOCATOR_KEYS), Receipt)
