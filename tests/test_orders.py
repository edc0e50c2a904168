"""Orders to a node that hangs: the operator's tool, the broker of config/, the real daemon.

In the quick form the daemon's patience is short (`tests.support.hasty`); the long one runs
`earshot` as it is.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator

import pytest

from agent.cli import main as agent_cli
from agent.core.records.envelope import load_registered_key, seal
from agent.core.records.kinds import COMMAND_TYPE, Start, Status, parse
from agent.core.records.remote_records import CommandOutcome, ConfigChange, KeyChange
from agent.core.trust import Command
from agent.core.trust.commands import seal_command
from agent.core.units import NS_PER_S
from agent.ports import Message, Sent
from simulator.centre.operator.node_keys import Voice, lines_of
from simulator.cli import main as cli
from tests.support.drafts import signer_of
from tests.support.links import Collector
from tests.support.mosquitto import PROGRAM
from tests.support.street import NODE, TOPIC, Street
from tests.support.town import but_for_the_clock
from tests.test_docs import CHANCE as CHANCE_IN_WORDS
from tests.test_docs import README, blocks, filled_in

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed"),
]

BROKER = "mqtts://broker.town:8883"
SOURCE = "urn:earshot:town:north:n1"
CHANCE = re.compile(CHANCE_IN_WORDS.pattern + r"|\d+\.\d s|[\d:]{8} UTC")
LONG = pytest.param(("agent.cli.main", 300.0), marks=pytest.mark.torture, id="as it is")


@pytest.fixture(
    scope="module", params=[pytest.param(("tests.support.hasty", 90.0), id="hasty"), LONG]
)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Street]:
    """One street for all tests: each finds the node at work."""
    program, seconds = request.param
    one = Street(tmp_path_factory.mktemp("street"), program, seconds)
    yield one
    one.close()


@pytest.fixture
def street(shared: Street) -> Street:
    shared.work()
    return shared


def voice_of(street: Street) -> Voice:
    (row,) = json.loads((street.town.office / "nodes.json").read_bytes())
    voice = Voice(SOURCE, load_registered_key(row["key"]))
    voice.follow_all(lines_of(street.handovers))
    return voice


def command_for(source: str = SOURCE, life_s: int = 60, age_s: int = 0) -> Command:
    issued_ns = time.time_ns() - age_s * NS_PER_S
    return Command(
        id=secrets.token_hex(16),
        source=source,
        verb="ping",
        issued_utc_ns=str(issued_ns),
        expires_utc_ns=str(issued_ns + life_s * NS_PER_S),
        changes={},
    )


def test_ping_and_report_are_answered(street: Street) -> None:
    """One line each, or JSON; and the node asked for a report tells its heartbeat."""
    code, told = street.order("ping")
    assert (code, bool(re.fullmatch(rf"{NODE} obeyed ping \(\d+\.\d s\)\n", told))) == (0, True), (
        told
    )
    code, told = street.order("report-now", "--json")
    answer = json.loads(told)
    assert (code, answer["outcome"], answer["keyid"]) == (0, "done", voice_of(street).keyid)
    street.until(
        lambda: answer["id"] in [body.data.id for body in street.bodies(CommandOutcome)],
        "the record of the report",
    )


def test_orders_are_given_as_the_readme_says(
    street: Street, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands, word for word but for the broker's address, and all lines that they print;
    then the new settings are tried by a new run, and kept when that has lasted."""
    monkeypatch.chdir(street.folder)
    section = README.partition("## Give orders\n")[2]
    shell, shown = blocks(section, "sh")[0], blocks(section, "text")[0]
    before = len(street.bodies(Start))
    for line in filled_in(shell).splitlines():
        if line.startswith("earshot-sim "):
            _, *words = line.partition("#")[0].split()
            cli.main([street.town.url if word == BROKER else word for word in words])
    told = capsys.readouterr()
    complaints = but_for_the_clock(told.err)
    assert (CHANCE.sub("*", told.out), complaints) == (CHANCE.sub("*", shown), "")
    street.until(lambda: len(street.bodies(ConfigChange)) == 2, "settings that are kept")
    trying, kept = (body.data for body in street.bodies(ConfigChange))
    starts = street.bodies(Start)
    assert (trying.outcome, kept.outcome) == ("trying", "kept")
    assert (trying.after, kept.after) == (starts[-1].data.settings_sha256,) * 2
    assert (starts[-1].data.reason, len(starts)) == ("clean", before + 1)


def test_what_must_not_be_obeyed_is_refused_and_told_in_the_chain(
    street: Street, capsys: pytest.CaptureFixture[str]
) -> None:
    """Late, misaddressed, unsigned, foreign and repeated ones: each leaves its reason in a record,
    and the locator's export still verifies."""
    raw = {
        "expired": seal_command(command_for(age_s=120), street.operator),
        "addressed to another node": seal_command(
            command_for("urn:earshot:town:north:n2"), street.operator
        ),
        "signed by an operator, but malformed": seal(COMMAND_TYPE, b"{}", street.operator),
        "not signed by an operator of this node": seal_command(command_for(), signer_of("thief")),
    }
    with street.link() as operator:
        for envelope in (*raw.values(), b"ping"):
            operator.publisher.publish(f"{TOPIC}/command/ping", envelope)
        operator.wait(Sent, len(raw) + 1)
    paper = street.folder / f"{secrets.token_hex(4)}.json"
    code, told = street.order("ping", "--out", paper, sent=False)
    assert (code, told.startswith(f"{paper}: ping for {NODE}, to be sent before ")) == (0, True)
    assert street.order("--envelope", paper)[0] == 0
    code, told = street.order("--envelope", paper)
    assert (code, told) == (1, f"{NODE} refused ping: obeyed before\n")

    expected = sorted([*raw, "not signed by an operator of this node", "obeyed before"])
    street.until(lambda: sorted(reasons_of(street)[-len(expected) :]) == expected, "their reasons")
    export = street.folder / "export.jsonl"
    export.write_bytes(b"".join(raw + b"\n" for raw in street.store.envelopes()))
    capsys.readouterr()
    assert (
        agent_cli.main(["verify", str(export), "--keys", f"{street.town.office}/nodes.json"]) == 0
    )
    assert "all of it holds" in capsys.readouterr().out


def reasons_of(street: Street) -> list[str]:
    told = (body.data for body in street.bodies(CommandOutcome))
    return [one.reason for one in told if one.outcome == "refused" and "this run" not in one.reason]


def test_a_new_key_is_followed_by_all_and_signs_the_last_will(street: Street) -> None:
    """By the tool, also later; by the locator; and what the broker says when the node dies."""
    before = voice_of(street).keyid
    code, told = street.order("rotate-key")
    after = voice_of(street).keyid
    assert (code, after in told, after != before) == (0, True, True), told
    street.until(
        lambda: after in [body.keyid for body in street.bodies(CommandOutcome)], "its records"
    )
    assert [body.data.keyid for body in street.bodies(KeyChange)][-1] == after
    assert street.order("ping")[0] == 0
    street.kill()
    with street.link(f"{TOPIC}/status") as operator:
        street.until(lambda: not _last_status(operator, street).online, "the last will")
    assert street.store.chain_faults() == []


def _last_status(operator: Collector, street: Street) -> Status:
    """The latest one, which must be signed by the key in force."""
    operator.wait(Message)
    raw = operator.seen(Message)[-1].payload
    return parse(voice_of(street).open(raw).payload, Status)


def test_a_node_that_is_away_gives_no_reply(shared: Street) -> None:
    """That is told soon, with what is known of it, and exit code 1."""
    shared.kill()
    code, told = shared.order("ping", "--timeout", "60")
    assert code == 1
    assert told == (
        f"no reply from {NODE}: nobody listens for it at this broker: the node is offline, by its "
        "last word\n"
    )


def test_only_the_operators_certificate_gives_orders(shared: Street) -> None:
    """The locator's gets one line and exit code 2. (It also takes the locator's place.)"""
    code, told = shared.order("ping", role="locator")
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith(f"earshot-sim: {shared.town.url}: refused to take the command: Not auth")
    assert "is it the operator's certificate?" in told
