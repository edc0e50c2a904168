"""What a u-blox receiver says of spoofing, jamming and leap seconds (UBX protocol).

Layouts are those of the u-blox M8 to F9 interface descriptions: NAV-STATUS, MON-HW, SEC-SIG (of
both versions) and NAV-TIMELS. Other frames pass by. Receivers of other makes say none of this:
`unknown`.
"""

import struct
from dataclasses import replace

from agent.core.clock.time_signs import ReceiverReport, Refusal
from agent.core.records.fields import Doubt, Leap

_NAV_STATUS, _NAV_TIMELS = (0x01, 0x03), (0x01, 0x26)
_MON_HW, _SEC_SIG = (0x0A, 0x09), (0x27, 0x09)
_SPOOF: dict[int, Doubt] = {1: "none", 2: "suspect", 3: "affirmed"}
_JAM: dict[int, Doubt] = {1: "none", 2: "suspect", 3: "affirmed"}
_NOT_FROM_SATELLITES = (0, 255)  # the firmware's default, and not known
_SOON_S = 86_400


class UbxParser:
    """Frames of one receiver; each report repeats what the frames before it said."""

    def __init__(self) -> None:
        self._known = ReceiverReport(0)

    def parse(self, frame: bytes, host_ns: int) -> ReceiverReport | Refusal | None:
        """The receiver's word after `frame` (sync to checksum); None if it told nothing new."""
        if len(frame) < 8 or checksum(frame[2:-2]) != frame[-2:]:
            return Refusal(host_ns, "UBX frame with a wrong checksum")
        payload = frame[6:-2]
        try:
            self._known = self._learn((frame[2], frame[3]), payload, host_ns)
        except (struct.error, IndexError):
            return Refusal(host_ns, "UBX frame too short")
        return self._known if self._known.host_ns == host_ns else None

    def _learn(self, kind: tuple[int, int], payload: bytes, host_ns: int) -> ReceiverReport:
        known = replace(self._known, host_ns=host_ns)
        if kind == _NAV_STATUS:
            return replace(known, spoof=_SPOOF.get(payload[7] >> 3 & 3, "unknown"))
        if kind == _MON_HW:
            return replace(known, jam=_JAM.get(payload[22] >> 2 & 3, "unknown"))
        if kind == _SEC_SIG:
            if payload[0] == 2:
                jamming, spoofing = payload[1] & 7, payload[1] >> 3
            else:
                jamming, spoofing = payload[4], payload[8]
            return replace(
                known,
                jam=_JAM.get(jamming >> 1 & 3, "unknown") if jamming & 1 else "unknown",
                spoof=_SPOOF.get(spoofing >> 1 & 7, "unknown") if spoofing & 1 else "unknown",
            )
        if kind == _NAV_TIMELS:
            return replace(known, leap=_leap(payload))
        return self._known


def _leap(payload: bytes) -> Leap:
    """`unknown` until the receiver knows the leap seconds from a satellite, not its firmware."""
    source, change = payload[8], struct.unpack_from("<b", payload, 11)[0]
    to_event_s, valid = struct.unpack_from("<i", payload, 12)[0], payload[23]
    if not valid & 1 or source in _NOT_FROM_SATELLITES:
        return "unknown"
    if not valid & 2 or change == 0 or not 0 <= to_event_s <= _SOON_S:
        return "none"
    return "insert" if change > 0 else "delete"


def checksum(body: bytes) -> bytes:
    """The 8-bit Fletcher sum over class, id, length and payload."""
    a = b = 0
    for byte in body:
        a = a + byte & 0xFF
        b = b + a & 0xFF
    return bytes((a, b))


def frame(kind: tuple[int, int], payload: bytes) -> bytes:
    """A whole frame around `payload`."""
    body = bytes(kind) + len(payload).to_bytes(2, "little") + payload
    return b"\xb5b" + body + checksum(body)


def switch_on() -> list[bytes]:
    """CFG-MSG frames that ask for each of the four once a second (ignored where unknown)."""
    return [
        frame((0x06, 0x01), bytes((*kind, 1)))
        for kind in (_NAV_STATUS, _NAV_TIMELS, _MON_HW, _SEC_SIG)
    ]
