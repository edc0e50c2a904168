"""A satellite receiver on a serial line, as a TimeReference."""

from agent.adapters.receiver.echo import Echo
from agent.adapters.receiver.line import SerialReceiver
from agent.adapters.receiver.reader import ByteReader

__all__ = ["ByteReader", "Echo", "SerialReceiver"]
