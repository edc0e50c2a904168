"""Words for digests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.trust.proquint import fingerprint, proquints, same_words


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1", "lusab-babad"),
        ("63.84.220.193", "gutih-tugad"),
        ("216.35.68.215", "tobog-higil"),
        ("147.67.119.2", "natag-lisaf"),
        ("198.81.129.136", "sinid-makam"),
    ],
)
def test_the_words_are_those_of_the_proposal(address: str, words: str) -> None:
    """The examples of arXiv:0901.4016, whose bytes are Internet addresses."""
    assert proquints(bytes(map(int, address.split(".")))) == words


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_other_digests_have_other_words(one: bytes, other: bytes) -> None:
    """The first 80 bits decide: five words, the same ones only for the same bits."""
    told = fingerprint(one.hex()), fingerprint(other.hex())
    assert len(told[0].split("-")) == 5
    assert (told[0] == told[1]) == (one[:10] == other[:10])


@pytest.mark.parametrize(
    ("heard", "is_same"),
    [
        ("lusab-babad", True),
        ("Lusab, babad.", True),
        ("  LUSAB   BABAD\n", True),
        ("lusab", False),
        ("babad lusab", False),
        ("lusab babad babad", False),
        ("lusab babab", False),
        ("", False),
    ],
)
def test_only_letters_and_their_order_count(heard: str, is_same: bool) -> None:
    """However a person spaces and capitalises them."""
    assert same_words(heard, "lusab-babad") == is_same
