"""The signed word of whether a node is there, for the retained status and the last will."""

import msgspec

import agent
from agent.core.chain import Sealer
from agent.core.records import STATUS_TYPE, Status


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
    )
    return sealer.seal_message(STATUS_TYPE, msgspec.json.encode(status))
