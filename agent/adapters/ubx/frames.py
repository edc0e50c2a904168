"""What a u-blox receiver says of spoofing, jamming and leap seconds (UBX protocol).

Layouts are those of the u-blox M8 to F9 interface descriptions: NAV-STATUS, MON-HW, SEC-SIG (of
both versions) and NAV-TIMELS. What other frames say of the time is `times`'. Receivers of other
makes say none of this: `unknown`.
"""

import struct
from dataclasses import replace

from agent.adapters.ubx.times import UbxTime
from agent.core.clock.time_signs import LeapFrom, ReceiverReport, Refusal, TimeSign
from agent.core.records.fields import Doubt, Leap

_NAV_STATUS, _NAV_TIMELS = (0x01, 0x03), (0x01, 0x26)
_MON_HW, _SEC_SIG = (0x0A, 0x09), (0x27, 0x09)
_TIM_TP, _NAV_TIMEGPS = (0x0D, 0x01), (0x01, 0x20)
_CFG_RATE, _ACK = (0x06, 0x08), 0x05
_SENTENCES = ((0xF0, 0x00), (0xF0, 0x04), (0xF0, 0x08))  # GGA, RMC, ZDA
_KEYS = (0x10740002, 0x10760002, 0x10780002)  # CFG-UART1, -UART2, -USBOUTPROT-NMEA of F9 and M10
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
            leap_from = _leap_from(payload)
            leap_s = struct.unpack_from("<b", payload, 9)[0] if leap_from != "unknown" else None
            return replace(known, leap=_leap(payload), leap_s=leap_s, leap_from=leap_from)
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


def _leap_from(payload: bytes) -> LeapFrom:
    """Whose leap seconds the receiver counts with: it starts with those of its firmware."""
    source, valid = payload[8], payload[23]
    if valid & 1 and source not in _NOT_FROM_SATELLITES:
        return "satellites"
    return "firmware" if source == 0 else "unknown"


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


def question() -> bytes:
    """A poll of CFG-RATE, which changes nothing: it is answered by the rate, or an ACK or NAK."""
    return frame(_CFG_RATE, b"")


def is_answer(whole: bytes) -> bool:
    """Whether a frame answers `question`."""
    kind = (whole[2], whole[3])
    return kind == _CFG_RATE or (kind[0] == _ACK and whole[6:8] == bytes(_CFG_RATE))


def switch_on() -> list[bytes]:
    """Frames that ask for the four once a second, and for what other daemons switch off: the
    sentences RMC, GGA and ZDA, and the name of the next pulse. What one generation of receivers
    does not know it ignores."""
    told = (_NAV_STATUS, _NAV_TIMELS, _NAV_TIMEGPS, _MON_HW, _SEC_SIG, _TIM_TP)
    wanted = (*told, *_SENTENCES)
    asked = [frame((0x06, 0x01), bytes((*kind, 1))) for kind in wanted]
    keys = [(0x06, 0x8A, bytes((0, 1, 0, 0)) + key.to_bytes(4, "little") + b"\1") for key in _KEYS]
    return [*asked, *(frame((group, number), payload) for group, number, payload in keys)]


def speak_sentences(baud: int) -> list[bytes]:
    """Frames after which a receiver that was left in UBX alone speaks NMEA too, at `baud` as
    before (CFG-PRT of the UART and of USB: 8N1, all protocols in, UBX and NMEA out)."""
    ports = ((1, 0x08D0, baud), (3, 0, 0))
    opened = [
        frame((0x06, 0x00), struct.pack("<BBHIIHHHH", port, 0, 0, mode, speed, 7, 3, 0, 0))
        for port, mode, speed in ports
    ]
    return [*opened, *switch_on()]


class UbxFrames:
    """All that is read of a receiver's frames: its warnings, and the time it tells."""

    def __init__(self) -> None:
        self._warnings, self._time = UbxParser(), UbxTime()

    def parse(self, frame: bytes, host_ns: int) -> list[TimeSign]:
        """What `frame` (sync to checksum) tells; a Refusal if it is none."""
        warning = self._warnings.parse(frame, host_ns)
        if isinstance(warning, Refusal):
            return [warning]
        told = self._time.parse(frame, host_ns)
        return [*([warning] if warning else []), *told]
