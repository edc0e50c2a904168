"""MQTT 3.1.1 by hand on a socket, as a process of its own: one that floods, and one that times.

`python -m tests.support.rawclient flood PORT CLIENT TOPIC` publishes without end what nobody asked
for: first 400 retained messages of 60 kB, then records of 3.4 kB, 64 under way at a time. It prints
the octets that were acknowledged when its input ends. `time PORT CLIENT TOPIC` publishes a record
each 20 ms and prints how long each PUBACK took (s), as JSON, when its input ends.
"""

import json
import select
import socket
import sys
import time
from collections import deque

RECORD, LARGE, LARGE_ONES = b"r" * 3_400, b"r" * 60_000, 400
WINDOW, EVERY_S = 64, 0.02


class Client:
    """Connected on return."""

    def __init__(self, port: int, client_id: str) -> None:
        self.wire = socket.create_connection(("127.0.0.1", port))
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = b"\x00\x04MQTT\x04\x02\x00\x3c" + _text(client_id)
        self.wire.sendall(_packet(0x10, body))
        assert self.read(4)[3] == 0
        self._mid = 0

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._mid = self._mid % 65_535 + 1
        body = _text(topic) + self._mid.to_bytes(2, "big") + payload
        self.wire.sendall(_packet(0x32 | retain, body))

    def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self.wire.recv(count - len(found))
            if not more:
                raise ConnectionError("the broker hung up")
            found += more
        return found


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, left = b"", len(body)
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def _is_over() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def flood(client: Client, topic: str) -> None:
    under_way: deque[int] = deque()
    sent = acknowledged = 0
    try:
        while not _is_over():
            while len(under_way) < WINDOW:
                is_large = sent < LARGE_ONES
                payload = LARGE if is_large else RECORD
                where = f"{topic}/event/{f'x{sent}' if is_large else 'impulse'}"
                client.publish(where, payload, retain=is_large)
                under_way.append(len(payload))
                sent += 1
            client.read(4)
            acknowledged += under_way.popleft()
    except OSError:
        pass
    print(acknowledged, flush=True)


def take_times(client: Client, topic: str) -> None:
    waits_s = []
    while not _is_over():
        began_s = time.perf_counter()
        client.publish(f"{topic}/event/impulse", RECORD)
        client.read(4)
        waits_s.append(time.perf_counter() - began_s)
        time.sleep(EVERY_S)
    print(json.dumps(waits_s), flush=True)


if __name__ == "__main__":
    what, port, name, topic = sys.argv[1:]
    {"flood": flood, "time": take_times}[what](Client(int(port), name), topic)
