"""Satellites, network and broker come in any order to a host that woke up in the wrong year.

Real Mosquitto with mutual TLS throughout. It judges nodes by the computer's clock, so all true
certificates are of the present.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest

import agent
from agent.adapters.host import Discipline
from agent.app.trustedclock import TrustedClock
from agent.core.records.kinds import Stop
from agent.core.units import NS_PER_S, ns_of
from tests.support.disk import preload
from tests.support.fortress import OURS, Fortress, fortress_in, open_doors
from tests.support.mosquitto import PROGRAM, ShippedBroker
from tests.support.network import Network
from tests.support.pki import DAY, Authority
from tests.support.pole import Listener, Pole
from tests.support.proxy import Fault, Proxy
from tests.support.sky import PoleUnderSky, WakingHost

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed"),
]

Y1970_S, Y2099_S = 60, 4_070_908_800
RELEASED = datetime.fromtimestamp(agent.RELEASED_UTC_S, UTC)


class Street:
    """A pole without satellites on a board of 1970, a cut cable, and a broker that is down."""

    def __init__(self, directory: Path, fortress: Fortress, proxy: Proxy) -> None:
        self.fortress, self._proxy = fortress, proxy
        now_ns = ns_of(datetime.now(UTC))
        host = WakingHost()
        month_ago_ns = now_ns - 30 * 86_400 * NS_PER_S
        trusted = TrustedClock(
            host, month_ago_ns, None, lambda: Discipline(False, 16 * NS_PER_S, "unknown")
        )
        self.network = Network(
            directory,
            proxy.url,
            fortress.broker.url,
            trusted_utc=trusted.now,
            ca=fortress.ours.ca,
            **fortress.ours.issue(OURS),
        )
        self.network.centre.kill()
        fortress.broker.kill()
        proxy.next_fault = lambda: Fault("cut", 0)
        self.pole = PoleUnderSky(host, now_ns - host.host_ns, self.network.outbox, trusted)
        self.pole.pass_time(3, satellites=False)

    def satellites(self) -> None:
        """They come out, until the node's clock is locked."""
        self.pole.pass_time(20, satellites=True)
        assert self.pole.trusted.now().clock == "satellites"

    def cable(self) -> None:
        """It is mended."""
        self._proxy.next_fault = Fault

    def broker(self, papers: dict[str, Path] | None = None) -> None:
        """Up with these certificates, and the locator at its side door."""
        if self.network.centre.is_up:
            self.network.centre.kill()
        open_doors(self.fortress, papers)
        self.network.centre.start()

    def fail(self) -> str:
        """Why the next attempt came to nothing."""
        reasons = self.network.link.reasons
        tried = len(reasons)
        self.network.until(lambda: len(reasons) > tried, "another lost connection")
        assert self.network.uplink.counters.published == 0
        return reasons[-1]

    def settle(self) -> None:
        """All that was ever said is at the locator."""
        last = self.network.outbox.head().seq
        assert self.network.settle() == list(range(1, last + 1))


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    with fortress_in(tmp_path) as fortress, closing(Proxy(fortress.front_url)) as proxy:
        made = Street(tmp_path, fortress, proxy)
        yield made
        made.network.close()


@pytest.mark.parametrize("order", list(permutations(("satellites", "cable", "broker"))))
def test_every_order_of_boot_delivers_everything(street: Street, order: tuple[str, ...]) -> None:
    """Nothing waits for the clock: what was said before, between and after arrives whole."""
    missing = {"cable", "broker"}
    for step in order:
        street.network.append(3)
        if missing:
            street.fail()
        getattr(street, step)()
        missing.discard(step)
    street.network.append(3)
    street.settle()


def test_an_early_broker_is_known_by_the_satellites(street: Street) -> None:
    """Its certificate begins tomorrow: refused with the clock's name, until it has a good one."""
    street.satellites()
    street.cable()
    street.broker(street.fortress.ours.issue("broker", early=True))
    told = street.fail()
    assert "is not to be trusted: it begins only 20" in told
    assert ", and by this node's clock (satellites) it is 20" in told
    street.broker()
    street.settle()


def test_an_early_broker_is_taken_while_nobody_knows_better(street: Street) -> None:
    """The same certificate, before the first satellite."""
    street.cable()
    street.broker(street.fortress.ours.issue("broker", early=True))
    street.settle()


@contextmanager
def broker_in(folder: Path, authority: Authority, papers: dict[str, Path]) -> Iterator[str]:
    """The broker of config/ with these papers; its URL."""
    folder.mkdir(exist_ok=True)
    for source, name in (
        (authority.ca, "ca.crt"),
        (authority.crl, "ca.crl"),
        (papers["cert"], "broker.crt"),
        (papers["key"], "broker.key"),
    ):
        shutil.copy(source, folder / name)
    broker = ShippedBroker(folder)
    try:
        yield f"mqtts://127.0.0.1:{broker.port}"
    finally:
        broker.stop()


class Board:
    """A node as a process whose calendar is wrong; certificates by `authority`."""

    def __init__(self, home: Path, authority: Authority, url: str) -> None:
        self.pole = Pole(home, url)
        self._library = preload(home, Path(__file__).parent / "support" / "hostclock.c")
        papers = authority.issue("s/c/n1", **lasting())
        listed = home / "ca-and-list.crt"
        listed.write_bytes(authority.ca.read_bytes() + authority.crl.read_bytes())
        text = self.pole.config.read_text().replace('time.source = "sim"', "")
        tls = f"""
            broker.ca = "{listed}"
            broker.certificate = "{papers["cert"]}"
            broker.certificate_key = "{papers["key"]}"
            runtime.directory = "{home}/run"
        """
        self.pole.config.write_text(tls + text)

    def start(self, calendar_s: int) -> subprocess.Popen[str]:
        env = {"LD_PRELOAD": str(self._library), "HOSTCLOCK_UTC_S": str(calendar_s)}
        return self.pole.start({**os.environ, **env})


def lasting() -> dict[str, datetime]:
    """From before now and the date of this software until after both."""
    now = datetime.now(UTC)
    return {"since": min(now, RELEASED) - 9 * DAY, "until": max(now, RELEASED) + DAY}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "pki", max(datetime.now(UTC), RELEASED))
    made.ca = made.renew(**lasting())
    made.publish_list(since=lasting()["since"], until=lasting()["until"])
    return made


@pytest.mark.parametrize("calendar_s", [Y1970_S, pytest.param(Y2099_S, marks=pytest.mark.torture)])
def test_a_daemon_in_the_wrong_year_delivers(
    tmp_path: Path, authority: Authority, calendar_s: int
) -> None:
    """A whole process on such a host meets the broker over mutual TLS, and says that it does not
    know the time."""
    with broker_in(tmp_path / "broker", authority, authority.issue("broker", **lasting())) as url:
        board = Board(tmp_path, authority, url)
        listener = Listener(url, ca=authority.ca, **authority.issue("locator", **lasting()))
        daemon = board.start(calendar_s)
        bodies = listener.bodies(board.pole.public, until=Stop)
        _, told = daemon.communicate(timeout=30)
        listener.link.close()
    assert daemon.returncode == 0, told
    assert "link up" in told
    assert "link down" not in told
    assert {body.clock.state for body in bodies} == {"unsynchronised"}
    assert not any(body.time for body in bodies)


@pytest.mark.parametrize(
    "known", ["last known", pytest.param("software", marks=pytest.mark.torture)]
)
def test_a_daemon_in_the_wrong_year_refuses_what_has_ended(
    tmp_path: Path, authority: Authority, known: str
) -> None:
    """By the date of its software or the time that an earlier run left: one line names which."""
    ended = RELEASED - DAY if known == "software" else RELEASED + DAY
    papers = authority.issue("broker", since=RELEASED - 300 * DAY, until=ended)
    with broker_in(tmp_path / "broker", authority, papers) as url:
        board = Board(tmp_path, authority, url)
        if known == "last known":
            (tmp_path / "store").mkdir()
            (tmp_path / "store" / "known-utc").write_text(f"{ns_of(ended + 99 * DAY)}\n")
        with board.start(Y1970_S) as daemon:
            assert daemon.stderr
            line = daemon.stderr.readline()
            daemon.kill()
    at_least = RELEASED if known == "software" else ended + 99 * DAY
    clock, unless = {
        "software": ("the date of this node's software", ""),
        "last known": (
            "the last time this node knew for good",
            ", or if that time was wrong remove known-utc from store.directory and restart",
        ),
    }[known]
    assert line == (
        f"WARNING link down: certificate of {url.removeprefix('mqtts://')} is not to be trusted: "
        f"it ended {ended:%Y-%m-%d %H:%M} UTC, and by {clock} it is at least "
        f"{at_least:%Y-%m-%d}: renew it at the broker{unless}\n"
    )
