"""Names to the nodes what they sent and no key can ever make a record: they need not send it again.

Only nodes that take the word are told. A signature by an unknown key is no such case: the key may
become known.
"""

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from agent.core.records.kinds import REFUSAL_TYPE
from agent.core.records.messages import MAX_REFUSED, TAKES_REFUSAL, Never, Refusal
from simulator.centre.locator.letters import printable

_MAX_REASON = 160


class Refusals:
    """What is to be named, by node; `takes` tells whether a node understands a word."""

    def __init__(self, takes: Callable[[str, str], bool]) -> None:
        self._takes = takes
        self._named: dict[str, dict[str, str]] = {}

    def note(self, source: str, message: bytes, reason: str) -> None:
        """A malformed message came on an event topic of a registered node."""
        named = self._named.setdefault(source, {})
        if self._takes(source, TAKES_REFUSAL) and len(named) < MAX_REFUSED:
            named[hashlib.sha256(message).hexdigest()] = printable(reason)[:_MAX_REASON]

    def letters(self, at: str, seal: Callable[[str, bytes], bytes]) -> Iterator[tuple[str, bytes]]:
        """Topic and signed refusal for each node, once; `at` is RFC 3339. Not to be retained."""
        named, self._named = self._named, {}
        for source, reasons in named.items():
            if reasons:
                never = tuple(Never(sha256=one, reason=why) for one, why in reasons.items())
                words = msgspec.json.encode(Refusal(source=source, at=at, refused=never))
                topic = "/".join(["earshot/v1", *source.split(":")[2:], "receipt"])
                yield topic, seal(REFUSAL_TYPE, words)
