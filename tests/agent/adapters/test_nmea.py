"""NMEA sentences: any talker, any junk between, and nothing false gets through."""

import random
from calendar import timegm

import pytest

from agent.adapters.nmea import NmeaParser
from agent.adapters.receiver import ByteReader
from agent.adapters.ubx import UbxFrames
from agent.core.clock.lock import ClockSettings, Lock
from agent.core.clock.time_signs import Fix, Refusal, TimeSign
from agent.core.units import NS_PER_MS, NS_PER_S

UTC_S = timegm((2027, 3, 14, 21, 15, 9))


def sealed(body: str) -> str:
    """`body` as a sentence with its checksum."""
    total = 0
    for character in body.encode("latin-1"):
        total ^= character
    return f"${body}*{total:02X}"


def rmc(
    talker: str = "GP", time: str = "211509.00", date: str = "140327", status: str = "A",
    mode: str = ",A",
) -> str:  # fmt: skip
    place = "4807.03800,N,01131.00000,E"
    return sealed(f"{talker}RMC,{time},{status},{place},000.01,084.4,{date},003.1,W{mode}")


def gga(quality: str = "1", satellites: str = "08", latitude: str = "4807.03800") -> str:
    place = f"{latitude},N,01131.00000,E"
    return sealed(f"GNGGA,211509.00,{place},{quality},{satellites},0.9,545.4,M,46.9,M,,")


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "GB", "BD", "GQ", "GI", "QZ"])
def test_every_talker_names_the_second(talker: str) -> None:
    """Whatever the constellation, RMC is UTC."""
    fix = NmeaParser().parse(rmc(talker), 77)
    assert fix == Fix(77, UTC_S * NS_PER_S, is_valid=True)


@pytest.mark.parametrize(
    ("line", "utc_s", "valid", "leap"),
    [
        (rmc(status="V"), UTC_S, False, False),
        (rmc(mode=",N"), UTC_S, False, False),
        (rmc(mode=",E"), UTC_S, False, False),
        (rmc(mode=""), UTC_S, True, False),
        (rmc(mode=",D"), UTC_S, True, False),
        (rmc(mode=",A,V"), UTC_S, True, False),
        (rmc(time="211509"), UTC_S, True, False),
        (rmc(time="235960.00", date="311229"), timegm((2030, 1, 1, 0, 0, 0)), True, True),
        (rmc(date="060180"), timegm((1980, 1, 6, 21, 15, 9)), True, False),
        (sealed("GPZDA,211509.00,14,03,2027,00,00"), UTC_S, False, False),
    ],
)
def test_what_a_sentence_says_of_time(line: str, utc_s: int, valid: bool, leap: bool) -> None:
    """Validity, fractions, leap seconds and old logs, each as the sentence has it."""
    assert NmeaParser().parse(line, 0) == Fix(0, utc_s * NS_PER_S, valid, leap)


def test_fractions_of_a_second_are_kept_to_the_nanosecond() -> None:
    """A receiver at 5 Hz reports between the seconds too."""
    fix = NmeaParser().parse(rmc(time="211509.2"), 0)
    assert isinstance(fix, Fix)
    assert fix.utc_ns == UTC_S * NS_PER_S + 200 * NS_PER_MS


def test_gga_tells_the_place_and_zda_counts_beside_it() -> None:
    """Place, height, satellites; and ZDA alone is believed while GGA has a fix."""
    parser = NmeaParser()
    fix = parser.parse(gga(), 5)
    assert isinstance(fix, Fix)
    assert (fix.utc_ns, fix.is_valid, fix.satellites) == (None, True, 8)
    assert fix.place is not None
    assert fix.place.latitude_deg == pytest.approx(48.1173)
    assert (fix.place.height_m, fix.place.hdop) == (545.4, 0.9)
    zda = parser.parse(sealed("GNZDA,211509.00,14,03,2027,,"), 6)
    assert isinstance(zda, Fix)
    assert zda.is_valid
    parser.parse(rmc(), 7)
    assert parser.parse(sealed("GNZDA,211509.00,14,03,2027,,"), 8) is None


@pytest.mark.parametrize(
    "line",
    [
        rmc()[:-3], rmc()[:-1] + "~", rmc().replace("A,48", "A,49"), rmc().lower(),
        rmc(time="246060.00"), rmc(time="2115"), rmc(time="235960.00x"), rmc(time="120060.00"),
        rmc(date="310227"), rmc(date="1403271"), rmc(date="x40327"),
        gga(latitude="9907.03800"), gga(latitude="4860.00000"), gga(latitude="abc"),
        gga(satellites="-1"), gga(satellites="x"), sealed("GPZDA,211509.00,14,03,27,00,00"),
        sealed("GPRMC"), sealed("GPRMC,"), sealed("GPRMC,,,,,,,,,,,,,,"), "$", "$GPRMC,*00",
        sealed("GPRMC," + "1" * 200), "$\x00\xff*00",
    ],
)  # fmt: skip
def test_what_is_broken_is_refused_with_a_reason(line: str) -> None:
    """No checksum, a wrong one, wrong types, impossible values: a Refusal, or a void fix."""
    told = NmeaParser().parse(line, 0)
    assert isinstance(told, Refusal) or (isinstance(told, Fix) and not told.is_valid)


@pytest.mark.parametrize("line", [sealed("GPGSV,2,1,08,04,40,083,46"), sealed("PSRF100,1"), "$X,"])
def test_other_sentences_pass_by(line: str) -> None:
    """They are neither fixes nor faults."""
    assert NmeaParser().parse(line, 0) is None


LOGS = {
    "u-blox at 1 Hz": [rmc("GN") + "\r\n", gga() + "\r\n", sealed("GNGSA,A,3,04,05") + "\r\n"],
    "GPS only": [rmc("GP", mode="") + "\r\n", gga() + "\r\n"],
    "GLONASS": [rmc("GL") + "\n"],
    "SiRF with its own sentences": [sealed("PSRF156,2") + "\r\n", gga() + "\r\n", rmc() + "\r\n"],
    "boot text": ["\x00\xffu-blox AG - www.u-blox.com\r\n$GPTXT,01", "\r\n", rmc() + "\r\n"],
    "a cut sentence": [rmc()[:30], rmc() + "\r\n"],
    "UBX between": ["\xb5b\x01\x03\x02\x00$$\x00\x00", rmc() + "\r\n"],
    "no line ends": [rmc(), gga(), "$"],
}


@pytest.mark.parametrize("name", LOGS)
def test_receivers_of_many_kinds_are_understood_however_the_bytes_fall(name: str) -> None:
    """The second is named once per burst, whole, byte by byte or in random pieces."""
    data = "".join(LOGS[name]).encode("latin-1")
    rng = random.Random(1)
    for pieces in ([len(data)], [1] * len(data), [rng.randrange(1, 9) for _ in data]):
        reader, signs, at = ByteReader(9600, NmeaParser().parse), [], 0
        host_ns = 10 * NS_PER_S
        for size in pieces:
            host_ns += size * 1_041_666
            signs += reader.feed(data[at : at + size], host_ns)
            at += size
        named = [sign.utc_ns for sign in signs if isinstance(sign, Fix) and sign.utc_ns]
        assert named == [UTC_S * NS_PER_S]


def test_a_burst_is_dated_by_its_first_byte() -> None:
    """What the bytes take on the line is subtracted, also when they are read together."""
    data = (gga() + "\r\n" + rmc() + "\r\n").encode()
    last_ns = 5 * NS_PER_S + (len(data) - 1) * 1_041_666
    for sizes in ([len(data)], [10, len(data) - 10]):
        reader, at, fixes = ByteReader(9600, NmeaParser().parse), 0, []
        for size in sizes:
            at += size
            came_ns = last_ns - (len(data) - at) * 1_041_666
            fixes += reader.feed(data[at - size : at], came_ns)
        assert len(fixes) == 2
        assert all(abs(fix.host_ns - 5 * NS_PER_S) < 2_000 for fix in fixes)


def on_the_line(reader: ByteReader, baud: int, rate_hz: int, pause: bool) -> list[Fix]:
    """Twenty seconds of a receiver that begins to speak 40 ms after each instant, if it can."""
    ns_per_byte, free_ns, fixes = 10 * NS_PER_S // baud, 0, []
    filler = sealed("GNGSV,4,1,13," + "05,49,232,43," * 4)
    for count in range(20 * rate_hz):
        second, part = divmod(count, rate_hz)
        told = [gga(), rmc("GN", f"2115{10 + second}.{part * 10 // rate_hz}"), filler]
        at_ns = max(100 * NS_PER_S + count * NS_PER_S // rate_hz + 40 * NS_PER_MS, free_ns)
        for number, line in enumerate(told):
            data = (line + "\r\n").encode()
            at_ns += 30 * NS_PER_MS if pause and number == 1 else 0
            for start in range(0, len(data), 16):
                chunk = data[start : start + 16]
                at_ns += len(chunk) * ns_per_byte
                fixes += [s for s in reader.feed(chunk, at_ns) if isinstance(s, Fix)]
        free_ns = at_ns
    return [fix for fix in fixes if fix.utc_ns is not None and fix.utc_ns % NS_PER_S == 0]


@pytest.mark.parametrize(
    ("baud", "rate_hz", "pause"),
    [(4800, 1, False), (9600, 1, True), (9600, 4, False), (38_400, 5, True), (38_400, 10, False),
     (115_200, 10, True), (115_200, 10, False)],
)  # fmt: skip
def test_every_rate_is_dated_with_a_steady_lag(baud: int, rate_hz: int, pause: bool) -> None:
    """From 1 to 10 Hz, with hardly a pause between bursts or one within them."""
    fixes = on_the_line(ByteReader(baud, NmeaParser().parse), baud, rate_hz, pause)
    lags_ns = [
        fix.host_ns - 100 * NS_PER_S - ((fix.utc_ns or 0) - (UTC_S + 1) * NS_PER_S) for fix in fixes
    ]
    assert len(lags_ns) == 20
    burst_ns = (len(gga()) + 2) * 10 * NS_PER_S // baud
    assert all(lag_ns >= 40 * NS_PER_MS - 1_000 for lag_ns in lags_ns)
    assert max(lags_ns) - min(lags_ns) <= burst_ns


def test_a_burst_that_comes_at_once_is_not_dated_back() -> None:
    """USB knows no baud: a burst is never older than the moment when the line held nothing."""
    reader = ByteReader(4800, NmeaParser().parse)
    for second in range(3):
        reader.feed(b"", second * NS_PER_S + 50 * NS_PER_MS)
        burst = f"{gga()}\r\n{rmc(time=f'2115{10 + second}')}\r\n".encode()
        fixes = reader.feed(burst, second * NS_PER_S + 60 * NS_PER_MS)
        assert [fix.host_ns for fix in fixes] == [second * NS_PER_S + 50 * NS_PER_MS] * 2


def test_noise_that_looks_like_a_frame_costs_no_second() -> None:
    """A false length swallows neither the burst it precedes nor those after it."""
    reader, named = ByteReader(9600, NmeaParser().parse, UbxFrames().parse), []
    for second in range(4):
        noise = b"\xb5b\x01\x03\x00\x03" if second == 0 else b""
        burst = noise + (rmc(time=f"2115{10 + second}.00") + "\r\n").encode()
        for sign in reader.feed(burst, (50 + second) * NS_PER_S):
            if isinstance(sign, Fix):
                named.append((sign.host_ns // NS_PER_S, sign.utc_ns))
    assert named == [(49 + s, (UTC_S + 1 + s) * NS_PER_S) for s in range(4)]


def mutated(rng: random.Random) -> str:
    """A sentence with some characters changed, its checksum set right in half of the cases."""
    body = list(rng.choice([rmc, gga, lambda: sealed("GPZDA,211509.00,14,03,2027,00,00")])()[1:-3])
    for _ in range(rng.choice([0, 1, 1, 2, 5, 30])):
        at = rng.randrange(len(body))
        body[at] = rng.choice([chr(rng.randrange(256)), rng.choice("0123456789,.-ANSEW"), ""])
    text = "".join(body).replace("\r", "").replace("\n", "")
    return sealed(text) if rng.random() < 0.5 else f"${text}*{rng.randrange(256):02X}"


def fuzz(count: int) -> None:
    """No exception escapes, every fix is sane, and no lock comes of it."""
    rng, parser, host_ns = random.Random(2026), NmeaParser(), 0
    reader = ByteReader(115_200, parser.parse)
    lock = Lock(ClockSettings(source="nmea", earliest_utc_ns=1_790_000_000 * NS_PER_S))
    for _ in range(count):
        host_ns += rng.randrange(NS_PER_S)
        line = mutated(rng)
        signs: list[TimeSign] = [
            told for told in (parser.parse(line, host_ns),) if told is not None
        ]
        signs += reader.feed((line + rng.choice(["\r\n", "\n", ""])).encode("latin-1"), host_ns)
        for sign in signs:
            if isinstance(sign, Fix):
                assert sign.utc_ns is None or 0 < sign.utc_ns < 5 * 10**18
                if sign.place is not None:
                    assert abs(sign.place.latitude_deg) <= 90
                    assert abs(sign.place.longitude_deg) <= 180
                assert sign.satellites is None or 0 <= sign.satellites <= 99
            lock.on_sign(sign)
        assert lock.state != "locked"


def test_fuzzed_sentences_do_no_harm() -> None:
    """20 000 mutants with right and wrong checksums."""
    fuzz(20_000)


@pytest.mark.torture
def test_a_million_fuzzed_sentences_do_no_harm() -> None:
    """The bar: 1 000 000 of them."""
    fuzz(1_000_000)
