"""The broker's end of the wire, scripted byte for byte, for what no real broker does on demand."""

import socket
import ssl
import threading
from collections.abc import Callable

CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8
CONNACK_5 = bytes.fromhex("2003000000")


def suback_5(packet: bytes, code: int) -> bytes:
    return b"\x90\x04" + packet[:2] + b"\x00" + bytes([code])


def puback_5(packet: bytes, code: int) -> bytes:
    topic_end = 2 + int.from_bytes(packet[:2], "big")
    return b"\x40\x03" + packet[topic_end : topic_end + 2] + bytes([code])


Answers = dict[int, Callable[[bytes], bytes]]
WELCOME: Answers = {CONNECT: lambda _: CONNACK_5}


class TinyBroker:
    """The broker's end of the wire, byte for byte: one answer per packet type, then silence.

    An answer that is empty ends the connection.
    """

    def __init__(self, answers: Answers, tls: ssl.SSLContext | None = None) -> None:
        self._answers, self._tls = answers, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[int] = []
        self._first_bytes: list[int] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._tls:
                    wire = self._tls.wrap_socket(
                        wire, server_side=True, do_handshake_on_connect=False
                    )
                    wire.do_handshake()
                self._converse(wire)
            except OSError:
                pass  # the client hung up, which is its right
            finally:
                wire.close()

    def _converse(self, wire: socket.socket) -> None:
        with wire.makefile("rb") as packets:
            while first := packets.read(1):
                kind, length, shift = first[0] >> 4, 0, 0
                while True:
                    (byte,) = packets.read(1)
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        break
                packet = packets.read(length)
                self.heard.append(kind)
                self._first_bytes.append(first[0])
                if answer := self._answers.get(kind):
                    reply = answer(packet)
                    if not reply:
                        return
                    wire.sendall(reply)

    def flags_of(self, kind: int) -> list[int]:
        """The first byte of each packet of that type that came."""
        return [one for one in self._first_bytes if one >> 4 == kind]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
