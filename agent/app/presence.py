"""The signed word of whether a node is there, for the retained status and the last will."""

from contextlib import suppress

import msgspec

import agent
from agent.core.records import Sealer
from agent.core.records.kinds import STATUS_TYPE, Status
from agent.core.records.messages import (
    TAKES_BOOT,
    TAKES_BRIEF,
    TAKES_CLOCK,
    TAKES_REFUSAL,
    TAKES_SOFTWARE,
)
from agent.errors import TokenError


def seal_status(sealer: Sealer, online: bool, backlog: int = 0, connects: int = 0) -> bytes:
    """An envelope around a Status: about the link, therefore never in the chain."""
    identity = sealer.identity
    status = Status(
        source=identity.source,
        online=online,
        boot=identity.boot,
        backlog=backlog,
        connects=connects,
        software=agent.__version__,
        takes=(TAKES_SOFTWARE, TAKES_REFUSAL, TAKES_BRIEF, TAKES_BOOT, TAKES_CLOCK),
    )
    return sealer.seal_message(STATUS_TYPE, msgspec.json.encode(status))


class LastWill:
    """What is said when the node goes, sealed afresh at each call with the key then in force.

    While the key is away (a token pulled out) the words last sealed serve.
    """

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._topic = f"{sealer.identity.topic}/status"
        self._words = seal_status(sealer, online=False)

    def __call__(self) -> tuple[str, bytes]:
        with suppress(TokenError):
            self._words = seal_status(self._sealer, online=False)
        return self._topic, self._words
