"""Digests as words that two people can compare over a bad line.

Each 16 bits become five letters, consonant and vowel in turn, out of 16 and 4 that sound apart
(D. S. Wilkerson, "A Proposal for Proquints", arXiv:0901.4016).
"""

import re

FINGERPRINT_WORDS = 5  # 80 bits: nobody can search for a second file with the same words

_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aiou"


def proquints(raw: bytes) -> str:
    """An even number of bytes as words of five letters, joined by dashes."""
    pairs = zip(raw[::2], raw[1::2], strict=True)
    return "-".join(_word(high << 8 | low) for high, low in pairs)


def fingerprint(digest: str) -> str:
    """The words for a SHA-256 in hex: its first 80 bits."""
    return proquints(bytes.fromhex(digest)[: 2 * FINGERPRINT_WORDS])


def same_words(heard: str, expected: str) -> bool:
    """Whether the same words were heard, however they were spaced or capitalised."""
    return re.findall("[a-z]+", heard.lower()) == expected.split("-")


def _word(bits: int) -> str:
    first, middle, last = (_CONSONANTS[bits >> shift & 15] for shift in (12, 6, 0))
    before, after = (_VOWELS[bits >> shift & 3] for shift in (10, 4))
    return first + before + middle + after + last
