"""A broker that welcomes one node, torments it with packets, and at last lets it through.

After each packet it sends a sound message and waits for the answer: so it knows whether the node
has read the packet and lives on, has hung up, or takes all that follows for a part of it.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.malformed import packet, publish

ANSWER_S = 0.25
HANDSHAKE_S = 20.0
PER_CONNECTION = 40
PROBE = b"probe"
_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _PINGREQ = 1, 3, 4, 8, 12


class HungUp(Exception):
    """The node has ended the connection."""


class Hostile:
    """Serves one node at `url` until `close`; the packets end, and then it is a way to `good_url`.

    `outcomes` counts what became of the packets: "read", "ended" the connection, "swallowed" what
    came after. `over_since_s` is when the last connection was over, monotonic; None while one is.
    """

    def __init__(self, packets: Iterator[bytes], good_url: str, *, is_v5: bool) -> None:
        self.outcomes: Counter[str] = Counter()
        self.is_done = False
        self.over_since_s: float | None = None
        self._packets, self._is_v5 = packets, is_v5
        address = urlsplit(good_url)
        self._good = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._wires: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the connection and the thread."""
        for one in (self._listener, *self._wires):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            self.over_since_s, self._wires = None, [wire]
            with wire, suppress(OSError, HungUp):
                if self.is_done:
                    self._let_through(wire)
                else:
                    self._torment(_Wire(wire, self._is_v5))
            self.over_since_s = time.monotonic()

    def _torment(self, wire: "_Wire") -> None:
        wire.welcome()
        for mid in range(40_000, 40_000 + PER_CONNECTION):
            try:
                one = next(self._packets)
            except StopIteration:
                self.is_done = True
                return
            outcome = wire.send_and_see(one, mid)
            self.outcomes[outcome] += 1
            if outcome != "read":
                return

    def _let_through(self, near: socket.socket) -> None:
        with socket.create_connection(self._good) as far:
            self._wires.append(far)
            back = threading.Thread(target=_carry, args=(far, near))
            back.start()
            _carry(near, far)
            back.join()


class _Wire:
    """One connection, from the broker's side."""

    def __init__(self, wire: socket.socket, is_v5: bool) -> None:
        self._wire, self._is_v5, self._read = wire, is_v5, b""

    def welcome(self) -> None:
        """Until the node is subscribed. Raises HungUp and OSError."""
        none = b"\0" if self._is_v5 else b""
        while True:
            kind, body = self._next(time.monotonic() + HANDSHAKE_S)
            if kind == _CONNECT:
                self._wire.sendall(packet(0x20, b"\0\0" + none))
            elif kind == _SUBSCRIBE:
                codes = body[2:].count(b"earshot/v1/") * b"\1"
                self._wire.sendall(packet(0x90, body[:2] + none + codes))
                return

    def send_and_see(self, one: bytes, mid: int) -> str:
        """Send a packet, and what became of it."""
        try:
            self._wire.sendall(one + publish(PROBE, b"", mid, self._is_v5))
            until_s = time.monotonic() + ANSWER_S
            while True:
                kind, body = self._next(until_s)
                if kind == _PUBACK and body[:2] == mid.to_bytes(2, "big"):
                    return "read"
                if kind == _PUBLISH:
                    topic_end = 2 + int.from_bytes(body[:2], "big")
                    self._wire.sendall(packet(0x40, body[topic_end : topic_end + 2]))
                if kind == _PINGREQ:
                    self._wire.sendall(packet(0xD0, b""))
        except TimeoutError:
            return "swallowed"
        except (OSError, HungUp):
            return "ended"

    def _next(self, until_s: float) -> tuple[int, bytes]:
        """Kind and body of the node's next packet. Raises TimeoutError, HungUp and OSError."""
        while (found := _first_packet(self._read)) is None:
            self._wire.settimeout(max(0.001, until_s - time.monotonic()))
            data = self._wire.recv(65_536)
            if not data:
                raise HungUp
            self._read += data
        kind, body, used = found
        self._read = self._read[used:]
        return kind, body


def _first_packet(data: bytes) -> tuple[int, bytes, int] | None:
    """Kind, body and length of the packet that begins `data`, once it is whole."""
    length, shift = 0, 0
    for at in range(1, min(5, len(data))):
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            end = at + 1 + length
            return (data[0] >> 4, data[at + 1 : end], end) if len(data) >= end else None
    return None


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
