"""A node's whole way in, and out: with the commands of the README and the broker of config/."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.records.kinds import Start, Stop
from tests.support.links import until
from tests.support.mosquitto import PROGRAM
from tests.support.town import Town, ended_of, told

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed"),
]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    one = Town(tmp_path)
    yield one
    one.broker.stop()


def test_an_enrolled_node_delivers_until_it_is_revoked(town: Town) -> None:
    """Request, words, answer, install; its records reach the locator and are receipted; revoked,
    it is told so in one line and nothing of it is lost or heard."""
    town.enrol()
    assert "good" in told("agent", "check-config", town.hut.config)
    with town.locator() as (store, service), town.node() as node:
        until(ended_of(node, service), "the end of the recording")
        assert node.stderr is not None
        assert (node.returncode, "link up" in (said := node.stderr.read())) == (0, True), said
        kinds = [type(body.data) for body in store.bodies()]
        assert (kinds[0], kinds[-1], store.chain_faults()) == (Start, Stop, [])
    assert town.unreceipted() == 0

    told("simulator", "registrar", "revoke", "town/north/n1", "--dir", town.office)
    town.deliver_to_broker()
    town.broker.stop()
    town.broker.start()
    with town.locator() as (store, service), town.node() as node:
        held = len(list(store.bodies()))
        until(ended_of(node, service), "the end of the recording")
        assert node.stderr is not None
        down = [line for line in node.stderr.read().splitlines() if "link" in line]
        assert len(down) == 1
        assert "certificate revoked: this node's certificate was revoked: enrol" in down[0]
        assert len(list(store.bodies())) == held
    assert town.unreceipted() > 0
