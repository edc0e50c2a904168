"""A confirmed second is carried over a restart of the agent within one boot, and no further."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.adapters.ownclock import OwnClock, counter_of_host
from agent.core.clock.own_clock import Counter
from agent.core.clock.time_signs import OwnWord
from agent.core.units import NS_PER_MS, NS_PER_S

UTC_NS = 1_800_000_000 * NS_PER_S
NEW_YEAR_2028_NS = 1_830_297_600 * NS_PER_S


@dataclass
class Host:
    """A host whose monotonic clock is slewed by `slew`, while its counter is not."""

    at: Counter
    monotonic: int = 10**12
    slew: float = 0.0

    def monotonic_ns(self) -> int:
        return self.monotonic

    def realtime_ns(self) -> int:
        return 0

    def counter(self) -> Counter:
        return self.at

    def wait(self, seconds: float) -> None:
        self.monotonic += round(seconds * (1 + self.slew) * NS_PER_S)
        self.at = replace(self.at, raw_ns=self.at.raw_ns + round(seconds * NS_PER_S))


@pytest.fixture
def host() -> Host:
    return Host(Counter("boot-1", 55 * NS_PER_S, 0))


def kept(tmp_path: Path, host: Host, utc_ns: int = UTC_NS, sigma_ns: int = 1000) -> Path:
    path = tmp_path / "clock-of-boot"
    OwnClock(path, host, host.counter).keep(host.monotonic_ns(), utc_ns, sigma_ns)
    return path


def word_of(path: Path, host: Host) -> OwnWord:
    (word,) = OwnClock(path, host, host.counter).poll()
    assert isinstance(word, OwnWord)
    return word


def test_the_next_run_knows_what_time_it_is(tmp_path: Path, host: Host) -> None:
    """90 s later, by the counter, however a daemon slewed the clock: within 20 ms or so."""
    path = kept(tmp_path, host)
    host.slew = 0.08
    host.wait(90.0)
    word = word_of(path, host)
    assert word.host_ns == host.monotonic_ns()
    assert word.utc_ns == UTC_NS + 90 * NS_PER_S
    assert 15 * NS_PER_MS < word.bound_ns < 25 * NS_PER_MS


@pytest.mark.parametrize("ppm", [-150.0, 150.0])
def test_its_bound_holds_for_the_worst_crystal(tmp_path: Path, host: Host, ppm: float) -> None:
    """A counter that is 150 ppm off, for as long as words are said."""
    path = kept(tmp_path, host)
    for minutes in (1, 5, 20, 30):
        went_ns = round(minutes * 60 * (1 + ppm * 1e-6) * NS_PER_S)
        then = replace(host, at=replace(host.at, raw_ns=host.at.raw_ns + went_ns))
        word = word_of(path, then)
        assert abs(word.utc_ns - UTC_NS - minutes * 60 * NS_PER_S) < word.bound_ns


@pytest.mark.parametrize("what", ["another boot", "slept", "too long ago", "went back", "no boot"])
def test_where_it_cannot_know_it_takes_its_word_back(tmp_path: Path, host: Host, what: str) -> None:
    """Whatever the counter did then: one word that bounds nothing, and silence."""
    path = kept(tmp_path, host)
    host.wait(10.0)
    host.at = {
        "another boot": replace(host.at, boot="boot-2"),
        "slept": replace(host.at, slept_ns=NS_PER_S),
        "too long ago": replace(host.at, raw_ns=host.at.raw_ns + 3000 * NS_PER_S),
        "went back": replace(host.at, raw_ns=0),
        "no boot": replace(host.at, boot=""),
    }[what]
    clock = OwnClock(path, host, host.counter)
    (word,) = clock.poll()
    assert isinstance(word, OwnWord)
    assert word.bound_ns > 10**6 * NS_PER_S
    host.wait(60.0)
    assert clock.poll() == []


def test_a_midnight_that_may_have_leapt_is_not_crossed(tmp_path: Path, host: Host) -> None:
    """New Year 2028: the list of leap seconds has expired, so nobody knows."""
    path = kept(tmp_path, host, NEW_YEAR_2028_NS - 5 * NS_PER_S)
    host.wait(4.0)
    assert word_of(path, host).bound_ns < NS_PER_S
    host.wait(2.0)
    assert word_of(path, host).bound_ns > NS_PER_S


@pytest.mark.parametrize("text", ["", "[", "[1,2,3,4,5]", '["b",1.5,0,0,0]', '["",1,0,0,0]', "{}"])
def test_a_damaged_file_says_nothing(tmp_path: Path, host: Host, text: str) -> None:
    """Half a file, another program's file: as if it were not there."""
    path = tmp_path / "clock-of-boot"
    path.write_text(text)
    assert OwnClock(path, host, host.counter).poll() == []


def test_it_is_written_once_a_minute(tmp_path: Path, host: Host) -> None:
    """A card is not worn out; where the folder is missing nothing happens."""
    path = tmp_path / "clock-of-boot"
    clock = OwnClock(path, host, host.counter)
    clock.keep(host.monotonic_ns(), UTC_NS, 1000)
    first = path.read_text()
    host.wait(30.0)
    clock.keep(host.monotonic_ns(), UTC_NS + 30 * NS_PER_S, 1000)
    assert path.read_text() == first
    host.wait(31.0)
    clock.keep(host.monotonic_ns(), UTC_NS + 61 * NS_PER_S, 1000)
    assert path.read_text() != first
    OwnClock(tmp_path / "none" / "x", host, host.counter).keep(host.monotonic_ns(), UTC_NS, 1000)


def test_the_hosts_own_counter_goes_on() -> None:
    """The real one: the same boot, and later than before."""
    before, after = counter_of_host(), counter_of_host()
    assert before.boot == after.boot
    assert after.raw_ns >= before.raw_ns
