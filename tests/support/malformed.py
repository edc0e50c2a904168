"""Packets that no broker should send: MQTT that is broken, and MQTT that carries what is false.

Seeded: the same numbers give the same packets. Who sends them, and what the node makes of them,
is for others. Nothing here is signed by a key that the node trusts and could be obeyed.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

PUBLISH_QOS1, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, DISCONNECT, AUTH = (
    *(0x32, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0),
)
CONNACK = 0x20
GARBAGE_PROPERTIES = (
    b"\x01\x00",  # payload format, and no value
    b"\x02\x26\x00",  # user property without its strings
    b"\x05\x26\x00\x02\xff\xfe\x00\x00",  # its name is no UTF-8
    b"\x03\x23\x00\x00",  # topic alias 0
    b"\x03\x23\xff\xff",
    b"\x0a\x03\x00\x02ab\x03\x00\x02cd",  # the content type twice
    b"\x02\x7f\x7f",  # no property at all
    b"\xff\xff\xff\x7f",  # 268 MB of them
    b"\xff\xff\xff\xff\xff",
    b"\x05\x0b\x80\x80\x80\x00",  # an endless subscription identifier
)
BAD_TOPICS = (
    b"\xff\xfe/receipt",
    b"earshot/\x00/receipt",
    b"earshot/v1/+/#",
    b"\xed\xa0\x80",
    b"",
    b"/" * 60_000,
)


@dataclass(frozen=True)
class Truth:
    """What a well-informed liar knows of one node: topics, and sealed words to spoil.

    `genuine` are a receipt and commands that would be believed as they are: they are only ever
    used spoilt. `false` are whole, but by the wrong hand or for another node.
    """

    topics: Sequence[str]
    genuine: Sequence[bytes]
    false: Sequence[bytes]
    is_v5: bool


def length_of(number: int) -> bytes:
    """A remaining length as MQTT writes it."""
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """A whole packet of that first byte."""
    return bytes([first]) + length_of(len(body)) + body


def publish(
    topic: bytes, payload: bytes, mid: int, is_v5: bool, properties: bytes = b"\0"
) -> bytes:
    """QoS 1, well-formed if its parts are."""
    head = len(topic).to_bytes(2, "big") + topic + mid.to_bytes(2, "big")
    return packet(PUBLISH_QOS1, head + (properties if is_v5 else b"") + payload)


def hostile(truth: Truth, rng: random.Random) -> Iterator[bytes]:
    """Such packets without end, each kind again and again."""
    makers: list[Callable[[Truth, random.Random], bytes]] = [
        *(_lie, _lie, _lie, _spoilt_packet, _spoilt_packet, _wrong_length, _bad_topic),
        *(_bad_properties, _answer, _answer, _farewell, _noise),
    ]
    while True:
        yield rng.choice(makers)(truth, rng)


def _lie(truth: Truth, rng: random.Random) -> bytes:
    """A sound PUBLISH that carries what must not be believed."""
    topic = rng.choice(truth.topics).encode()
    kind = rng.randrange(4)
    if kind == 0:
        payload = rng.choice(truth.false)
    elif kind == 1:
        payload = _flipped(rng.choice(truth.genuine), rng)
    elif kind == 2:
        payload = _rewritten(rng.choice(truth.genuine), rng)
    else:
        payload = rng.choice(
            (b"", b"{}", b"[" * 10_000, b"\xff\xfe", b"null", rng.randbytes(300), b"x" * 60_000)
        )
    return publish(topic, payload, rng.randrange(1, 1 << 16), truth.is_v5)


def _rewritten(raw: bytes, rng: random.Random) -> bytes:
    """A sealed word with one of its parts replaced by nonsense, or cut off."""
    if rng.random() < 0.3:
        return raw[: rng.randrange(len(raw))]
    fields = json.loads(raw)
    nonsense = rng.choice((None, 7, -1, "", "é", [], {}, [[]], "A" * 9_000, 1e308))
    if rng.random() < 0.5:
        fields[rng.choice(sorted(fields))] = nonsense
    else:
        one = fields["signatures"][0]
        one[rng.choice(sorted(one))] = nonsense
    return json.dumps(fields).encode()


def _flipped(raw: bytes, rng: random.Random) -> bytes:
    spoilt = bytearray(raw)
    for at in rng.sample(range(len(raw)), min(len(raw), rng.choice((1, 1, 1, 2, 8)))):
        spoilt[at] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _sound(truth: Truth, rng: random.Random) -> bytes:
    """A well-formed packet whose content has no effect."""
    topic, payload = rng.choice(truth.topics).encode(), rng.choice(truth.false)
    return rng.choice(
        (
            publish(topic, payload, rng.randrange(1, 1 << 16), truth.is_v5),
            _answer(truth, rng),
            packet(SUBACK, b"\0\1" + (b"\0" if truth.is_v5 else b"") + b"\1"),
            packet(PINGRESP, b""),
            packet(CONNACK, b"\0\0" + (b"\0" if truth.is_v5 else b"")),
        )
    )


def _spoilt_packet(truth: Truth, rng: random.Random) -> bytes:
    """Bits flipped anywhere, also in the header."""
    return _flipped(_sound(truth, rng), rng)


def _wrong_length(truth: Truth, rng: random.Random) -> bytes:
    """Too short, too long, far too long, or not a length at all."""
    sound = _sound(truth, rng)
    body = sound[1 + len(length_of(max(0, len(sound) - 2))) :]
    told = rng.choice(
        (
            length_of(max(0, len(body) - rng.randrange(1, 9))),
            length_of(len(body) + rng.randrange(1, 9)),
            length_of(0),
            length_of((1 << 28) - 1),
            length_of(rng.randrange(1 << 28)),
            b"\xff\xff\xff\xff\x7f",
            b"\x80\x80\x80\x80\x80\x80",
        )
    )
    return sound[:1] + told + body


def _bad_topic(truth: Truth, rng: random.Random) -> bytes:
    topic = rng.choice((*BAD_TOPICS, rng.randbytes(rng.randrange(40))))
    return publish(topic, rng.choice(truth.false), 9, truth.is_v5)


def _bad_properties(truth: Truth, rng: random.Random) -> bytes:
    garbage = rng.choice((*GARBAGE_PROPERTIES, rng.randbytes(rng.randrange(1, 30))))
    if rng.random() < 0.5:
        topic = rng.choice(truth.topics).encode()
        return publish(topic, b"x", 9, True, garbage)
    return packet(rng.choice((PUBACK, SUBACK, CONNACK, DISCONNECT, AUTH)), b"\0\1\0" + garbage)


def _answer(truth: Truth, rng: random.Random) -> bytes:
    """To what the node has sent, or never did; with any code."""
    first = rng.choice((PUBACK, PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK, SUBACK))
    mid = rng.choice((rng.randrange(1, 30), rng.randrange(1 << 16))).to_bytes(2, "big")
    tail = rng.choice((b"", bytes([rng.randrange(256)]), b"\x87\0", b"\x10\0", rng.randbytes(5)))
    return packet(first, mid + tail)


def _farewell(truth: Truth, rng: random.Random) -> bytes:
    """DISCONNECT and AUTH with any code, and what only a client may send."""
    first = rng.choice((DISCONNECT, AUTH, 0x10, 0x82, 0xA2, 0xC0, 0x00, 0xFF))
    return packet(first, rng.choice((b"", bytes([rng.randrange(256)]), rng.randbytes(6))))


def _noise(truth: Truth, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 200))
