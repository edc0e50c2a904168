"""A limit for what comes in: paho reads a packet of 256 MB, or one that never ends, for ever.

It only looks; whoever runs the network's loop asks it after every turn, and ends the connection.
Where paho keeps its half-read packet is no promise of paho's: should it move, there is no limit.
"""

from typing import Any

from paho.mqtt.client import Client

from agent.core.units import NS_PER_S

MAX_PACKET_BYTES = 128 * 1024  # what we read is an envelope, 16 KiB at most, and its topic
MAX_PACKET_NS = 25 * NS_PER_S


class Incoming:
    """The packet that `client` is reading at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: Any = None
        self._since_ns = 0

    def excess(self, now_ns: int) -> str:
        """What is too much about it at monotonic `now_ns`, for a person; empty if nothing is."""
        packet = getattr(self._client, "_in_packet", {})
        if packet.get("remaining_length", 0) > MAX_PACKET_BYTES:
            return f"more than {MAX_PACKET_BYTES} bytes"
        if packet is not self._seen or not packet.get("command"):
            self._seen, self._since_ns = packet, now_ns
        if now_ns - self._since_ns > MAX_PACKET_NS:
            return f"no end within {MAX_PACKET_NS // NS_PER_S} s"
        return ""
