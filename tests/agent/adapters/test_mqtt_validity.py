"""Certificates over real TLS, judged by a clock that is not the host's, before MQTT is spoken."""

import logging
import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.trust.certificate_time import Clock, TrustedTime
from agent.core.units import ns_of
from agent.errors import LinkError
from agent.ports import Connected, Lost
from tests.support.links import Collector
from tests.support.pki import DAY, Authority
from tests.support.tiny_broker import WELCOME, TinyBroker

FAR = datetime(2061, 7, 28, tzinfo=UTC)  # no host of these tests has this date
LATER = FAR + 40 * DAY


def known(
    moment: datetime, clock: Clock = "satellites", *, exact: bool = True
) -> Callable[[], TrustedTime]:
    """A clock that stands still."""
    now_ns = ns_of(moment)
    return lambda: TrustedTime(now_ns, now_ns if exact else None, clock)


def listed(authority: Authority, *others: Path) -> Path:
    """The authority's file as enrolment leaves it: certificates, and the list of revoked ones."""
    path = authority.ca.with_name("ca.crt")
    parts = (authority.ca, *others, authority.crl)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours", FAR)


@pytest.fixture
def behind(serve) -> Callable[..., TinyBroker]:
    """A broker that holds these papers, and sends the last of `chain` along."""

    def start(
        papers: dict[str, Path], *chain: Path, most: ssl.TLSVersion | None = None
    ) -> TinyBroker:
        whole = papers["cert"].with_suffix(".chain")
        whole.write_bytes(b"".join(path.read_bytes() for path in (papers["cert"], *chain)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = most or ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.load_cert_chain(whole, papers["key"])
        return serve(WELCOME, context)

    return start


def refusal(link_to, broker: TinyBroker, ca: Path, moment, **clock) -> str:
    """The one line of a link that is lost before a byte of MQTT has left."""
    (lost,) = link_to(broker.port, "mqtts", ca=ca, trusted_utc=known(moment, **clock)).wait(Lost)
    assert broker.heard == []
    assert "\n" not in lost.reason
    start = f"certificate of 127.0.0.1:{broker.port} is not to be trusted: "
    assert lost.reason.startswith(start), lost.reason
    return lost.reason.removeprefix(start)


def accepted(link_to, broker: TinyBroker, ca: Path, moment, **clock) -> None:
    link: Collector = link_to(broker.port, "mqtts", ca=ca, trusted_utc=known(moment, **clock))
    link.wait(Connected)
    link.publisher.close()


def test_the_hosts_clock_is_not_asked(behind, link_to, authority) -> None:
    """Certificates and a list of revoked ones, all from 2061: good by a clock that knows that
    year, whatever the host believes."""
    accepted(link_to, behind(authority.issue("broker")), listed(authority), FAR)


def test_without_a_better_clock_it_is_the_hosts(behind, link_to, authority) -> None:
    """As for the locator, whose computer keeps its clock right: 2061 is not yet."""
    broker = behind(authority.issue("broker"))
    (lost,) = link_to(broker.port, "mqtts", ca=listed(authority)).wait(Lost)
    assert "it begins only 2061-07-26 00:00 UTC, and by this host's clock" in lost.reason
    assert "for which nobody vouches, it is 20" in lost.reason
    assert broker.heard == []


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_ended_before_this_software_was_made_is_refused(
    behind, link_to, authority, most
) -> None:
    """Without any clock that is certain."""
    papers = authority.issue("broker", until=FAR - DAY, since=FAR - 9 * DAY)
    told = refusal(
        link_to, behind(papers, most=most), listed(authority), FAR, clock="software", exact=False
    )
    assert told == (
        "it ended 2061-07-27 00:00 UTC, and by the date of this node's software it is at least "
        "2061-07-28: renew it at the broker"
    )


def test_what_begins_later_is_refused_by_satellites(behind, link_to, authority) -> None:
    """A real time judges both ends."""
    papers = authority.issue("broker", since=FAR + DAY, until=FAR + 2 * DAY)
    told = refusal(link_to, behind(papers), listed(authority), FAR - DAY / 4)
    assert told == (
        "it begins only 2061-07-29 00:00 UTC, and by this node's clock (satellites) it is "
        "2061-07-27: make it anew on a computer whose clock is right"
    )


def test_what_begins_later_is_taken_where_only_a_lower_bound_is_known(
    behind, link_to, authority, caplog
) -> None:
    """It may be later than this node knows. The log says so, once for each certificate."""
    papers = authority.issue("broker", since=FAR + DAY, until=FAR + 2 * DAY)
    broker, clock = behind(papers), known(FAR - 9 * DAY, "last known", exact=False)
    with caplog.at_level(logging.INFO, "earshot"):
        link = link_to(broker.port, "mqtts", ca=listed(authority), trusted_utc=clock)
        link.wait(Connected)
        link.publisher.connect()
        link.wait(Connected, 2)
    leaf = [line for line in caplog.messages if "broker: it begins" in line]
    assert leaf == [
        "certificate of the broker: it begins only 2061-07-29 00:00 UTC, and by the last time "
        "this node knew for good it is at least 2061-07-19: whether it counts yet cannot be "
        "known, so it is taken"
    ]


def test_a_list_of_revoked_certificates_counts_at_every_hour(behind, link_to, authority) -> None:
    """No clock that is wrong brings a stolen broker back."""
    stolen = authority.issue("broker", revoked=True)
    for clock in ({}, {"clock": "software", "exact": False}):
        told = refusal(link_to, behind(stolen), listed(authority), FAR, **clock)
        assert told == "it was revoked: give the broker a new one"


def test_a_list_that_has_ended_is_refused(behind, link_to, authority) -> None:
    """OpenSSL would not look at its time either; nobody knows who was revoked since."""
    papers = authority.issue("broker", until=LATER + DAY)
    roots = authority.renew(LATER + DAY)
    told = refusal(link_to, behind(papers), listed(authority, roots), LATER)
    assert told.startswith("the list of revoked certificates in broker.ca ended 2061-07-29 00:00")
    assert "by this node's clock (satellites) it is 2061-09-06: enrol this node again" in told


def test_the_latest_list_of_several_counts(behind, link_to, authority) -> None:
    """An old one that was left in the file does no harm."""
    papers, old = authority.issue("broker", until=LATER + DAY), listed(authority).read_bytes()
    authority.publish_list(LATER + DAY, since=LATER - DAY)
    both = listed(authority, authority.renew(LATER + DAY))
    both.write_bytes(old + both.read_bytes())
    accepted(link_to, behind(papers), both, LATER)


def test_a_list_from_the_future_counts(behind, link_to, authority) -> None:
    """It knows more, not less."""
    authority.publish_list(LATER + DAY, since=LATER)
    accepted(link_to, behind(authority.issue("broker")), listed(authority), FAR)
    stolen = authority.issue("broker", revoked=True)
    authority.publish_list(LATER + DAY, since=LATER)
    assert "it was revoked" in refusal(link_to, behind(stolen), listed(authority), FAR)


def test_every_certificate_of_the_chain_is_judged(behind, link_to, tmp_path, authority) -> None:
    """A deputy that has ended vouches for nobody, though the broker's own and the root's last."""
    good, ended = authority.deputy("good", FAR + DAY), authority.deputy("ended", FAR - DAY)
    accepted(link_to, behind(good.issue("broker"), good.ca), authority.ca, FAR)
    told = refusal(link_to, behind(ended.issue("broker"), ended.ca), authority.ca, FAR)
    assert told.startswith("its authority CN=authority ended ended 2061-07-27 00:00 UTC, and by")
    assert told.endswith(": renew the authority, and with it broker.ca")


def test_an_authority_that_was_renewed_with_its_key_goes_on(
    behind, link_to, tmp_path, authority
) -> None:
    """The old certificate may stand before or behind the new one in broker.ca."""
    papers, renewed = authority.issue("broker", until=LATER + DAY), authority.renew(LATER + DAY)
    pair = [authority.ca.read_bytes(), renewed.read_bytes()]
    for order, name in ((pair, "old-first"), (pair[::-1], "new-first")):
        (tmp_path / name).write_bytes(b"".join(order))
        accepted(link_to, behind(papers), tmp_path / name, LATER)
    told = refusal(link_to, behind(papers), authority.ca, LATER)
    assert told.startswith("its authority CN=authority ours ended 2061-07-29 00:00 UTC")


def test_who_and_where_still_count(behind, link_to, tmp_path, authority) -> None:
    """Only the question of time was taken from OpenSSL: not whose broker it is, nor its name."""
    stranger = Authority(tmp_path / "theirs", FAR)
    told = refusal(link_to, behind(stranger.issue("broker")), authority.ca, FAR)
    assert "is broker.ca the authority of this broker?" in told
    elsewhere = authority.issue("broker", host="192.0.2.7")
    told = refusal(link_to, behind(elsewhere), authority.ca, FAR)
    assert told == "it is for another address: write the name in it into broker.url"


def test_a_list_that_cannot_be_read_is_told_at_the_start(tmp_path: Path, authority) -> None:
    """With the file's name; a connection is not even tried."""
    torn = tmp_path / "ca.crt"
    lines = authority.crl.read_text().splitlines(keepends=True)
    torn.write_text(authority.ca.read_text() + lines[0] + "AAAA\n" + lines[-1])
    with pytest.raises(LinkError, match=r"TLS files .*ca\.crt cannot be used"):
        MqttLink(MqttOptions("mqtts://127.0.0.1:1", "n1", ca=torn))


class HangsUp(TinyBroker):
    """Takes the first bytes of a handshake, and says good-bye in TLS."""

    def _converse(self, wire) -> None:
        wire.recv(4096)
        wire.sendall(bytes.fromhex("15030300020100"))  # close_notify


def test_a_good_bye_in_the_handshake_is_told(link_to, authority) -> None:
    """OpenSSL has no reason for it; the line still ends the attempt."""
    with closing(HangsUp(WELCOME)) as broker:
        (lost,) = link_to(broker.port, "mqtts", ca=authority.ca).wait(Lost)
    assert lost.reason.startswith(f"no TLS with 127.0.0.1:{broker.port}: ")
