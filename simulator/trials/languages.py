"""Which language a recording is in that the agent does not read: by whole messages, not by chance.

Two bytes that a language begins with stand anywhere in a long binary recording. So a language is
named only where messages of it are whole, by its length and end or its checksum.
"""

import re
from collections.abc import Callable, Iterator
from functools import reduce
from operator import xor

from agent.adapters import casic, ubx

_LEAST = 3
_LONGEST = 1200
_SHARE = 0.5
_MARKS, _OVER_CHANCE = 20, 50

Check = Callable[[bytes, int], int]
"""Bytes of the message that begins at this place of a recording; 0 if it is none."""


def spoken(raw: bytes) -> list[str]:
    """The languages of a recording, that of most of its bytes first."""
    covered = {name: _covered(raw, begin, check) for name, begin, check in _LANGUAGES}
    most = max((size for _, size in covered.values()), default=0)
    good = [
        (size, name)
        for name, (count, size) in covered.items()
        if count >= _LEAST and size >= _SHARE * most
    ]
    if good:
        return [name.partition(",")[0] for _, name in sorted(good, reverse=True)]
    return [name for name, begin, _ in _LANGUAGES if len(begin) > 1 and _is_marked(raw, begin)]


def _is_marked(raw: bytes, begin: bytes) -> bool:
    """Whether the beginning alone comes far more often than chance brings it: cut or odd frames."""
    by_chance = len(raw) / 256.0 ** len(begin)
    return raw.count(begin) >= _MARKS + _OVER_CHANCE * by_chance


def _covered(raw: bytes, begin: bytes, check: Check) -> tuple[int, int]:
    """How many messages there are, and their bytes."""
    count = size = 0
    at = raw.find(begin)
    while at >= 0:
        length = check(raw, at)
        if length:
            count, size = count + 1, size + length
        at = raw.find(begin, at + max(length, 1))
    return count, size


def _u16(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + 2], "little")


def _sirf(raw: bytes, at: int) -> int:
    size = int.from_bytes(raw[at + 2 : at + 4], "big") & 0x7FFF
    total = sum(raw[at + 4 : at + 4 + size]) & 0x7FFF
    tail = raw[at + 4 + size : at + 8 + size]
    return size + 8 if tail == total.to_bytes(2, "big") + b"\xb0\xb3" else 0


def _skytraq(raw: bytes, at: int) -> int:
    size = int.from_bytes(raw[at + 2 : at + 4], "big")
    parity = reduce(xor, raw[at + 4 : at + 4 + size], 0)
    return size + 7 if raw[at + 4 + size : at + 7 + size] == bytes((parity, 13, 10)) else 0


def _ubx(raw: bytes, at: int) -> int:
    """UBX and its likes: class, id, length and payload."""
    size = _u16(raw, at + 4)
    if size > _LONGEST:
        return 0
    total = ubx.checksum(raw[at + 2 : at + 6 + size])
    return size + 8 if raw[at + 6 + size : at + 8 + size] == total else 0


def _casic(raw: bytes, at: int) -> int:
    size = _u16(raw, at + 2)
    if size > _LONGEST or size % 4:
        return 0
    total = casic.checksum(raw[at + 2 : at + 6 + size])
    return size + 10 if raw[at + 6 + size : at + 10 + size] == total else 0


def _rtcm3(raw: bytes, at: int) -> int:
    """CRC-24Q over the header and the message."""
    size = int.from_bytes(raw[at + 1 : at + 3], "big") & 0x3FF
    crc = 0
    for byte in raw[at : at + 3 + size]:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    return size + 6 if raw[at + 3 + size : at + 6 + size] == crc.to_bytes(3, "big") else 0


def _zodiac(raw: bytes, at: int) -> int:
    head = [_u16(raw, at + 2 * word) for word in range(5)]
    is_head = len(raw) >= at + 10 and sum(head) & 0xFFFF == 0
    return 10 + 2 * (head[2] + (head[2] > 0)) if is_head and head[2] < _LONGEST else 0


def _superstar(raw: bytes, at: int) -> int:
    head = raw[at : at + 4]
    if len(head) < 4 or head[1] ^ head[2] != 0xFF:
        return 0
    size = head[3] + 4
    total = sum(raw[at : at + size]) & 0xFFFF
    return size + 2 if _u16(raw, at + size) == total and len(raw) >= at + size + 2 else 0


def _garmin(raw: bytes, at: int) -> int:
    message = _STUFFED.match(raw, at)
    if message is None:
        return 0
    body = message[1].replace(b"\x10\x10", b"\x10")
    is_whole = len(body) > 2 and body[1] == len(body) - 3 and sum(body) & 0xFF == 0
    return len(message[0]) if is_whole else 0


def _tsip(raw: bytes, at: int) -> int:
    return 0 if _garmin(raw, at) else _row_of_stuffed(raw, at, is_evermore=False)


def _evermore(raw: bytes, at: int) -> int:
    return _row_of_stuffed(raw, at, is_evermore=True)


def _row_of_stuffed(raw: bytes, at: int, *, is_evermore: bool) -> int:
    """These have no checksum that all messages share: the next message must follow at once."""
    message = _STUFFED.match(raw, at)
    if message is None or (message[1][0] == 2) is not is_evermore:
        return 0
    return len(message[0]) if raw[message.end() : message.end() + 1] in (b"\x10", b"") else 0


def _like(pattern: bytes) -> Check:
    compiled = re.compile(pattern, re.DOTALL)

    def check(raw: bytes, at: int) -> int:
        found = compiled.match(raw, at)
        return len(found[0]) if found else 0

    return check


def _oncore(raw: bytes, at: int) -> int:
    found = _ONCORE.match(raw, at)
    for end in _ends(found[0] if found else b""):
        if reduce(xor, raw[at + 2 : at + end - 3], 0) == raw[at + end - 3]:
            return end
    return 0


def _ends(message: bytes) -> Iterator[int]:
    yield from (found.end() for found in re.finditer(b"\r\n", message) if found.end() > 6)


_STUFFED = re.compile(rb"\x10((?:[^\x10]|\x10\x10){2,600}?)\x10\x03", re.DOTALL)
_ONCORE = re.compile(rb"@@[A-Z][a-z].{1,320}\r\n", re.DOTALL)
_LANGUAGES: tuple[tuple[str, bytes, Check], ...] = (
    ("SiRF binary", b"\xa0\xa2", _sirf),
    ("SkyTraq binary", b"\xa0\xa1", _skytraq),
    ("CASIC binary", b"\xba\xce", _casic),
    ("UBX", b"\xb5b", _ubx),
    ("Allystar binary", b"\xf1\xd9", _ubx),
    ("RTCM 3", b"\xd3", _rtcm3),
    ("ships' AIS", b"!", _like(rb"!(?:AI|BS|AB|AN)VD[MO],[^\r\n]*")),
    ("NavCom binary", b"\x02\x99f", _like(rb"\x02\x99f.{3}.*?\x03")),
    ("Motorola Oncore binary", b"@@", _oncore),
    ("Garmin binary", b"\x10", _garmin),
    ("Trimble TSIP", b"\x10", _tsip),
    ("EverMore binary", b"\x10\x02", _evermore),
    ("Zodiac binary", b"\xff\x81", _zodiac),
    ("SuperStar II binary", b"\x01", _superstar),
    ("GeoStar binary", b"PSGG", _like(rb"PSGG.{4}")),
    ("iTalk binary", b"<!", _like(rb"<![\x00-\xff]{2,400}?>(?=<!|$)")),
    ("Javad GREIS", b"~~", _like(rb"~~[0-9A-F]{3}")),
    ("Javad GREIS, by name", b"RE", _like(rb"RE[0-9A-F]{3}")),
)
