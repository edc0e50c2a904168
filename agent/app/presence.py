"""The signed word of whether a node is there, for the retained status and the last will."""

import msgspec

import agent
from agent.core.envelope import seal
from agent.core.records import STATUS_TYPE, Identity, Status
from agent.ports import Signer


def seal_status(
    identity: Identity, signer: Signer, online: bool, backlog: int = 0, connects: int = 0
) -> bytes:
    """An envelope around a Status: about the link, therefore never in the chain."""
    status = Status(
        source=identity.source,
        online=online,
        boot=identity.boot,
        backlog=backlog,
        connects=connects,
        software=agent.__version__,
    )
    return seal(STATUS_TYPE, msgspec.json.encode(status), signer)
