"""What a u-blox receiver says of the time in UBX: NAV-PVT, NAV-TIMEUTC, NAV-TIMEGPS, TIM-TP.

Layouts are pyubx2's, which is imported with the first of these frames: other receivers do not pay
for it. Frames come here whole; warnings and announced leap seconds are `frames`'.
"""

from calendar import timegm
from typing import Any

from agent.core.clock.time_signs import (
    Fix,
    LeapFrom,
    NextPulse,
    Place,
    ReceiverReport,
    Refusal,
    TimeSign,
)
from agent.core.units import NS_PER_MS, NS_PER_S

GPS_EPOCH_S = 315_964_800  # 1980-01-06
_WEEK_S = 604_800
_KINDS = {(0x01, 0x07), (0x01, 0x20), (0x01, 0x21), (0x01, 0x06), (0x0D, 0x01)}
_POSITIONS = (2, 3, 4, 5)  # 2D, 3D, with dead reckoning, time only
_PS_PER_NS = 1000.0
_YEARS = range(1980, 2180)
_WEEKS = range(200 * 53)
_ABOUT_A_SECOND = (-NS_PER_S, NS_PER_S)


class UbxTime:
    """Frames of one receiver, in order."""

    def __init__(self) -> None:
        self._leap_s: int | None = None
        self._has_position = True
        self._pvt_comes = False

    def parse(self, frame: bytes, host_ns: int) -> list[TimeSign]:
        """What a whole frame with a good checksum tells of the time; often nothing."""
        if (frame[2], frame[3]) not in _KINDS:
            return []
        from pyubx2 import UBXReader  # only where such frames come

        try:
            told = UBXReader.parse(frame)
            return self._signs(told, host_ns)
        except Exception:  # of pyubx2 and of what it read out of a frame that is too short
            return [Refusal(host_ns, "UBX frame malformed")]

    def _signs(self, told: Any, host_ns: int) -> list[TimeSign]:
        match told.identity:
            case "NAV-PVT":
                self._pvt_comes = True
                return [_pvt(told, host_ns)]
            case "NAV-SOL":
                self._has_position = told.gpsFix in _POSITIONS and bool(told.gpsfixOK)
                return []
            case "NAV-TIMEUTC":
                return self._timeutc(told, host_ns)
            case "NAV-TIMEGPS":
                return self._timegps(told, host_ns)
            case _:
                return self._next_pulse(told, host_ns)

    def _timeutc(self, told: Any, host_ns: int) -> list[TimeSign]:
        is_valid = bool(told.validTOW and told.validWKN) and self._has_position
        report = ReceiverReport(host_ns, leap_from=_from(told.validUTC)) if is_valid else None
        fix = Fix(host_ns, _utc_ns(told), is_valid, told.sec == 60)
        fixes = [] if self._pvt_comes else [fix]
        return [*fixes, *([report] if report else [])]

    def _timegps(self, told: Any, host_ns: int) -> list[TimeSign]:
        self._leap_s = int(told.leapS) if told.leapSValid else None
        is_valid = bool(told.towValid and told.weekValid) and self._has_position
        if not is_valid:
            return [] if self._pvt_comes else [Fix(host_ns, None, is_valid=False)]
        leap_from = _from(told.leapSValid)
        report = ReceiverReport(host_ns, leap_s=int(told.leapS), leap_from=leap_from)
        if self._pvt_comes or not told.leapSValid:
            return [report]
        utc_ns = _gps_ns(told.week, _of_week_ms(told), told.fTOW) - int(told.leapS) * NS_PER_S
        return [Fix(host_ns, _rounded(utc_ns), is_valid=True), report]

    def _next_pulse(self, told: Any, host_ns: int) -> list[TimeSign]:
        """Its quantisation error is added to the pulse to get the second: it is early by it.

        The interface descriptions give no sign. Counters that start with a better clock and stop
        with the pulse were seen to scatter least with it added (anderswallin.net, F9T, 2019).
        """
        late_ns = 0.0 if getattr(told, "qErrInvalid", 0) else -told.qErr / _PS_PER_NS
        utc_ns = _gps_ns(told.week, told.towMS, 0)
        if not told.timeBase:  # in GPS time
            if self._leap_s is None:
                return []
            utc_ns -= self._leap_s * NS_PER_S
        return [NextPulse(host_ns, utc_ns, late_ns)]


def _from(is_valid: int) -> LeapFrom:
    """A count of leap seconds that is not valid is the firmware's."""
    return "satellites" if is_valid else "firmware"


def _pvt(told: Any, host_ns: int) -> Fix:
    is_valid = bool(told.validDate and told.validTime and told.gnssFixOk)
    is_valid = is_valid and told.fixType in _POSITIONS
    place = None
    if is_valid and told.fixType != 5:
        place = Place(told.lat, told.lon, told.hMSL / 1000.0, told.pDOP)
    is_dated = told.validDate and told.validTime
    utc_ns = _utc_ns(told) if is_dated else None
    return Fix(host_ns, utc_ns, is_valid, getattr(told, "second", 0) == 60, told.numSV, place)


def _utc_ns(told: Any) -> int:
    seconds = told.second if hasattr(told, "second") else told.sec
    is_date = told.year in _YEARS and 1 <= told.month <= 12 and 1 <= told.day <= 31
    if not (is_date and told.hour < 24 and told.min < 60 and seconds <= 60):
        raise ValueError("no date")
    if not _ABOUT_A_SECOND[0] <= told.nano <= _ABOUT_A_SECOND[1]:
        raise ValueError("no part of a second")
    whole = timegm((told.year, told.month, told.day, told.hour, told.min, seconds, 0, 0, 0))
    return _rounded(whole * NS_PER_S + told.nano)


def _rounded(utc_ns: int) -> int:
    """To the ms: what is finer is how far the receiver's own clock is off its report."""
    return (utc_ns + NS_PER_MS // 2) // NS_PER_MS * NS_PER_MS


def _gps_ns(week: int, tow_ms: int, more_ns: int) -> int:
    if week not in _WEEKS or not 0 <= tow_ms < _WEEK_S * 1000:
        raise ValueError("no time of a week")
    return (GPS_EPOCH_S + week * _WEEK_S) * NS_PER_S + tow_ms * NS_PER_MS + more_ns


def _of_week_ms(told: Any) -> int:
    """pyubx2 shows iTOW as a time of day; the frame itself has it in ms."""
    return int.from_bytes(told.payload[:4], "little")
