"""One message can fail, the service cannot: what goes wrong with it is set aside, and told."""

import hashlib
import json
import logging
import sqlite3
from contextlib import closing

import pytest

from agent.core.records.envelope import MAX_ENVELOPE_BYTES
from agent.ports import Message
from simulator.centre.locator import associate, past, whole_seconds, windows
from simulator.centre.locator.chains import Chains
from simulator.centre.locator.trust import Trust
from simulator.cli.main import main
from tests.simulator.centre.locator.test_service import Centre
from tests.support.cells import Cell
from tests.support.drafts import NOW

N1 = "urn:earshot:lab:a:n1"


@pytest.fixture
def centre(tmp_path):
    made = Centre(tmp_path / "locator.sqlite", Cell())
    yield made
    made.store.close()


def is_of_n1(arguments) -> bool:
    """Whether n1 has anything to do with a call."""
    return any(N1 in repr(one) for one in arguments)


def fails_for_n1(monkeypatch, where, name, error):
    """From now on `where.name` fails, as a bug would, whenever n1 is concerned."""
    real = getattr(where, name)

    def failing(*arguments, **named):
        if is_of_n1(arguments[1:] if isinstance(where, type) else arguments[:1]):
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(where, name, failing)


@pytest.mark.parametrize("error", [OverflowError("too large"), RecursionError(), KeyError("x")])
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (Trust, "verify"),
        (Chains, "begin"),
        (Chains, "cross"),
        (past.Index, "note"),
        (windows.CellBelief, "hear"),
        (whole_seconds, "locate"),
    ],
)
def test_a_bug_that_one_node_reaches_harms_no_other(centre, monkeypatch, where, name, error):
    """Wherever it sits: the others are receipted and located, now and after a restart."""
    with monkeypatch.context() as patched:
        fails_for_n1(patched, where, name, error)
        centre.tell(centre.cell.shot(0.0))
        centre.run(10)
        assert centre.service.counters.rejected
        centre.kill()
        centre.open()
        centre.run(10)
    told = {one.source[-2:]: one.upto_seq for one in centre.said()[1]}
    assert {told[node] for node in ("n2", "n3", "n4", "n5")} == {1}
    (incident,) = centre.service.incidents
    assert incident.status == "located"


def test_a_row_that_cannot_be_read_harms_no_other(centre, monkeypatch):
    """What was stored before a bug came, or was spoilt on the disk, is passed over and told."""
    centre.tell(centre.cell.shot(0.0))
    centre.run(10)
    centre.kill()
    with closing(sqlite3.connect(centre.path)) as db:
        db.execute("UPDATE event SET envelope = x'00ff' WHERE rowid = 2")
        db.commit()
    fails_for_n1(monkeypatch, Trust, "verify_row", OverflowError("too large"))
    centre.open()
    centre.tell(centre.cell.shot(60.0))
    centre.run(10)
    assert [one.status for one in centre.service.incidents] == ["detected", "located"]


def test_what_fails_is_set_aside_with_digest_reason_and_bytes(centre, capsys):
    """As often as it comes it is one letter; a command lists them, and so does a restart."""
    good = centre.cell.shot(0.0)
    spoilt = good[0].payload.replace(b'"payload":"', b'"payload":"AAAA')
    bad = [Message(good[0].topic, spoilt)] * 3 + [Message(good[0].topic, b"x" * 40_000)]
    centre.tell([*bad, Message("earshot/v1/lab/a/stranger/event/impulse", b"{}")])
    centre.run(3)
    centre.kill()
    assert main(["store", "letters", str(centre.path), "--json"]) == 0
    letters = {one["digest"]: one for one in json.loads(capsys.readouterr().out)}
    assert len(letters) == 3
    first = letters[hashlib.sha256(spoilt).hexdigest()]
    assert (first["source"], first["times"], first["first_at"]) == (N1, 3, NOW)
    assert "does not hold" in first["reason"]
    assert first["message"] == spoilt.decode()
    large = letters[hashlib.sha256(b"x" * 40_000).hexdigest()]
    assert (large["size"], len(large["message"])) == (40_000, MAX_ENVELOPE_BYTES)
    assert main(["store", "letters", str(centre.path)]) == 0
    assert capsys.readouterr().out.count("\n") == 4
    centre.open()


def test_the_oldest_letters_of_a_node_go_first(tmp_path):
    """10 000 of each at most: a loud node cannot push out what another did."""
    from agent.adapters.outbox import open_database
    from simulator.centre.locator.letters import MAX_LETTERS, Letters
    from simulator.centre.locator.schema import STEPS

    assert MAX_LETTERS == 10_000
    with closing(open_database(tmp_path / "l", STEPS, durable=False)) as db:
        letters = Letters(db, limit=20)
        letters.add("quiet", "t", b"once", "bad", NOW)
        for number in range(50):
            letters.add("loud", "t", b"%d" % number, "bad", NOW)
        letters = Letters(db, limit=20)
        letters.add("loud", "t", b"last", "bad", NOW)
        held = [(one.source, one.message) for one in letters.all()]
        assert held[-1] == ("quiet", b"once")
        assert [raw for _, raw in held[:-1]] == [*(b"%d" % n for n in range(31, 50)), b"last"]


def test_failures_are_told_once_a_minute(centre, caplog):
    """However many there are: how often, of whom, and why."""
    with caplog.at_level(logging.WARNING):
        for number in range(130):
            topic = "earshot/v1/lab/a/n1/event/impulse"
            centre.tell([Message(topic, b"%d" % number), Message(topic, b"{}")])
            centre.run(1)
    told = [one.getMessage() for one in caplog.records if "set aside" in one.getMessage()]
    assert 2 <= len(told) <= 3
    assert "120 messages set aside" in told[1]
    assert N1 in told[1]


def test_associate_is_what_the_windows_locate_with():
    """The fault above is set where the windows look."""
    assert whole_seconds.locate is associate.locate
