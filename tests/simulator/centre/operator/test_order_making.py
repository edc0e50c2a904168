"""Commands as an operator makes them: what a node takes goes out, what none takes is told here."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.records.envelope import load_public_key, seal
from agent.core.trust import CommandJudge
from agent.core.trust.commands import Now, Obeyed, seal_command
from agent.core.units import NS_PER_S
from agent.errors import SettingsError
from agent.settings import REMOTE
from simulator.centre.locator.registry import Registry
from simulator.centre.operator.orders import OrderError, changes_of, make, read, station_named
from tests.support.drafts import UTC_NS, chain_of, signer_of
from tests.support.ordered import SOURCE, command_for, station_of

OPERATOR = signer_of("operator")
NOW_NS = UTC_NS + NS_PER_S


@pytest.mark.parametrize(
    ("verb", "pairs"),
    [
        ("ping", []),
        ("report-now", []),
        ("rotate-key", []),
        ("set-config", ["log.level=debug", "audio.latency_us=120", "audio.full_scale_db_spl=94.5"]),
    ],
)
def test_a_node_obeys_what_was_made(verb, pairs) -> None:
    """Sealed by its operator, each verb passes the judge of the node with nothing lost."""
    command = make(station_of("n1"), verb, changes_of(pairs), UTC_NS, 60)
    operators = {OPERATOR.keyid: load_public_key(OPERATOR.public_key())}
    now = Now(utc_ns=NOW_NS, sigma_ns=1000, began_utc_ns=UTC_NS - 3600 * NS_PER_S)
    judged = CommandJudge(SOURCE, operators).judge(verb, seal_command(command, OPERATOR), now)
    assert judged == Obeyed(command, OPERATOR.keyid)


def test_values_are_read_as_toml_and_text_may_be_bare() -> None:
    """Numbers are numbers, quotes may be left away, and only the first "=" divides."""
    pairs = ["log.level=debug", "time.nmea_lag_ms=1_0", "audio.latency_us=0x10"]
    assert changes_of(pairs) == {
        "log.level": "debug",
        "time.nmea_lag_ms": 10,
        "audio.latency_us": 16,
    }
    assert changes_of(['log.level="info"']) == {"log.level": "info"}


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["log.level"], "'log.level' is not NAME=VALUE"),
        (["log.level=info", "log.level=debug"], "log.level is given twice"),
        (["log.levle=debug"], "did you mean 'log.level'?"),
        (["log.level=loud"], "log.level = 'loud' is wrong: least level to tell"),
        (["broker.ca=mine.crt"], "broker.ca cannot be changed from afar, only audio."),
        (["audio.latency_bound_us=20000"], "audio.latency_bound_us cannot be changed from afar"),
        (["audio.source=file:quiet.wav"], "audio.source from afar must be a device"),
        (["audio.latency_us=1000000"], "audio.latency_us = 1000000 is wrong"),
        (["time.pps_device=/dev/pps1"], "time.pps_device cannot be changed from afar, only audio."),
        (["audio.latency_us=soon"], "audio.latency_us = 'soon' is wrong: constant capture latency"),
        (["audio.latency_us=true"], "audio.latency_us = True is wrong"),
        (["audio.latency_us=[1]"], "audio.latency_us = '[1]' is wrong"),
        (["audio.latency_us=1\nlog.level='x'"], "is wrong: constant capture latency"),
        (["audio.latency_us=-1", "log.level=x"], "audio.latency_us = -1 is wrong"),
        (["audio.full_scale_db_spl=nan"], "is no number that JSON can carry"),
        (["audio.full_scale_db_spl=inf"], "is no number that JSON can carry"),
        (["=1"], " cannot be changed from afar"),
    ],
)
def test_settings_that_no_node_takes_are_told_before_anything_is_sent(pairs, told) -> None:
    """Misspelt, out of range, of the wrong type, or not to be changed from afar."""
    with pytest.raises((OrderError, SettingsError)) as refused:
        changes_of(pairs)
    assert told in str(refused.value)


def test_whether_it_expired_the_node_says_where_nobody_vouches_for_this_clock() -> None:
    """A bare clock refuses nothing."""
    old = command_for(life_s=1)
    assert read(seal_command(old, OPERATOR), station_of("n1"), "order.json", None) == old


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=4))
def test_no_words_make_it_stumble(pairs) -> None:
    """Whatever is typed is a change of settings or an error for a person."""
    with suppress(OrderError, SettingsError):
        assert set(changes_of(pairs)) <= REMOTE


@pytest.mark.parametrize(
    ("verb", "changes", "life_s", "told"),
    [
        ("set-config", {}, 60, "changes nothing: name a setting"),
        ("ping", {"log.level": "info"}, 60, "ping takes no settings: log.level is for set-config"),
        ("ping", {}, 601, "lives 1 to 600 s, not 601"),
        ("ping", {}, 0.1, "lives 1 to 600 s, not 0.1"),
    ],
)
def test_what_makes_no_sense_together_is_told(verb, changes, life_s, told) -> None:
    with pytest.raises(OrderError, match=told):
        make(station_of("n1"), verb, changes, UTC_NS, life_s)


def test_only_a_node_that_the_registry_knows_and_trusts_is_commanded() -> None:
    """Names are SITE/CELL/NODE; a near miss is suggested, a revoked node refused."""
    known = [station_of("n1"), station_of("n2", is_revoked=True)]
    registry = Registry({one.source: one for one in known}, None)
    assert station_named("town/north/n1", registry, "nodes.json") is known[0]
    for name, told in (
        ("town/north/n3", "'town/north/n3' is not in nodes.json: did you mean 'town/north/n"),
        ("pole", "'pole' is not in nodes.json: nodes are named SITE/CELL/NODE there"),
        ("town/north/n2", "town/north/n2 was revoked, as nodes.json says"),
    ):
        with pytest.raises(OrderError) as refused:
            station_named(name, registry, "nodes.json")
        assert told in str(refused.value)


def test_a_written_command_is_read_back() -> None:
    """The bytes of a command for this node, while it lives."""
    command = command_for()
    raw = seal_command(command, OPERATOR)
    assert read(raw, station_of("n1"), "order.json", NOW_NS) == command


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "holds no command"),
        (b"\xff\x00", "holds no command"),
        (chain_of("n1", 1)[0].envelope, "is no command"),
        (seal("application/vnd.earshot.command.v1+json", b"{}", OPERATOR), "holds no command"),
        (seal_command(command_for("n2"), OPERATOR), "is a command for urn:earshot:town:north:n2"),
        (seal_command(command_for(life_s=1), OPERATOR), "expired at 2026-11-18T11:06:41Z by this"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named(raw, told) -> None:
    """No command, another node's, or one that is too old."""
    with pytest.raises(OrderError) as refused:
        read(raw, station_of("n1"), "order.json", NOW_NS)
    assert str(refused.value).startswith("order.json: ")
    assert told in str(refused.value)
