"""A command on its way, in virtual time: whom the tool believes, and how it explains silence."""

from dataclasses import dataclass, field

import pytest

from agent.core.trust import Command
from agent.core.trust.commands import seal_command
from agent.core.units import NS_PER_MS
from agent.errors import LinkError
from agent.ports import Message
from simulator.centre.operator.command_client import Courier, subscriptions
from simulator.centre.operator.node_keys import Voice
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import signer_of
from tests.support.ordered import (
    SOURCE,
    TOPIC,
    change_of_keys,
    command_for,
    key_of,
    reply_to,
    status_of,
)


@dataclass
class Errand:
    """One command, a courier, and a node that only does what a test says."""

    command: Command = field(default_factory=command_for)
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.broker = VirtualBroker()
        self.node = VirtualPublisher(self.broker, "node", (f"{TOPIC}/command/+",))
        self.link = VirtualPublisher(self.broker, "operator", subscriptions(self.command))
        envelope = seal_command(self.command, signer_of("operator"))
        self.courier = Courier(self.link, self.command, envelope, Voice(SOURCE, key_of("n1")))

    def go(self, seconds: float = 0.5) -> None:
        for _ in range(round(seconds * 10)):
            if not self.courier.is_over:
                self.courier.step(self.now_ns)
            self.now_ns += 100 * NS_PER_MS

    def begin(self) -> None:
        """The node is there, and the command on its way."""
        self.node.connect()
        self.link.connect()
        self.go()

    def say(self, raw: bytes, tail: str = "") -> None:
        topic = tail or f"reply/{self.command.id}"
        self.node.publish(f"{TOPIC}/{topic}", raw, retain=tail == "status")
        self.go()

    def heard(self) -> list[str]:
        """Topics on which commands came to the node."""
        return [event.topic for event in self.node.poll() if isinstance(event, Message)]


@pytest.fixture
def errand() -> Errand:
    return Errand()


def test_a_command_goes_out_once_and_its_reply_ends_the_errand(errand: Errand) -> None:
    errand.begin()
    errand.go(10)
    assert errand.heard() == [f"{TOPIC}/command/ping"]
    assert not errand.courier.is_over
    errand.say(reply_to(errand.command))
    assert errand.courier.is_over
    assert errand.courier.answer is not None
    assert errand.courier.answer.keyid == signer_of("n1").keyid


def test_nobody_else_replies(errand: Errand) -> None:
    """Strangers, other nodes, replies to other commands, noise: the true reply still counts."""
    errand.begin()
    for raw in (
        b"noise",
        reply_to(errand.command, signed_by="thief"),
        reply_to(errand.command, id="0" * 32),
        reply_to(errand.command, source="urn:earshot:town:north:n2"),
        status_of("n1", online=True),
    ):
        errand.say(raw)
        assert errand.courier.answer is None
    assert "not signed by its key" in errand.courier.silence()
    errand.say(reply_to(errand.command))
    assert errand.courier.answer is not None


@pytest.mark.parametrize("is_reply_first", [True, False])
def test_a_new_key_is_believed_with_the_record_that_names_it(
    errand: Errand, is_reply_first: bool
) -> None:
    """Whichever comes first; the record is handed on to be kept, and the old key is silent."""
    change = change_of_keys("n1", "heir").envelope
    told = [(change, "event/key"), (reply_to(errand.command, signed_by="heir"), "")]
    errand.begin()
    if not is_reply_first:
        errand.say(*told[0])
        errand.say(reply_to(errand.command))
        assert errand.courier.answer is None
        errand.say(*told[1])
    else:
        errand.say(*told[1])
        assert errand.courier.answer is None
        errand.say(*told[0])
    assert errand.courier.answer is not None
    assert errand.courier.answer.keyid == signer_of("heir").keyid
    assert errand.courier.changes == [change]


def test_a_flood_of_false_replies_does_not_hide_the_true_one(errand: Errand) -> None:
    errand.begin()
    for number in range(40):
        errand.say(reply_to(errand.command, signed_by=f"thief {number % 7}"))
    errand.say(reply_to(errand.command))
    assert errand.courier.answer is not None


def test_a_node_that_comes_back_gets_the_command(errand: Errand) -> None:
    """While nobody listens it is said again, until somebody does."""
    errand.link.connect()
    errand.go(3)
    assert "nobody listens for it at this broker: the node has never been" in (
        errand.courier.silence()
    )
    errand.node.connect()
    errand.go(3)
    assert errand.heard() == [f"{TOPIC}/command/ping"]


@pytest.mark.parametrize(
    ("signed_by", "online", "told", "is_over"),
    [
        ("n1", False, "the node is offline, by its last word", True),
        ("n1", True, "the node is online, by its last word", False),
        ("thief", False, "the node's status is not signed by the key we know", False),
    ],
)
def test_the_last_status_explains_that_nobody_listens(
    errand: Errand, signed_by: str, online: bool, told: str, is_over: bool
) -> None:
    """A node that says it is offline is not waited for; nobody else can say that of it."""
    talker = VirtualPublisher(errand.broker, "talker")
    talker.connect()
    talker.publish(f"{TOPIC}/status", status_of(signed_by, online=online), retain=True)
    errand.link.connect()
    errand.go(3)
    assert errand.courier.silence() == f"nobody listens for it at this broker: {told}"
    assert errand.courier.is_over == is_over


def test_a_node_that_hears_and_does_not_reply_may_not_know_the_operator(errand: Errand) -> None:
    errand.begin()
    errand.say(status_of("n1", online=True), "status")
    assert "does keys.operator_public in its settings name this operator's key" in (
        errand.courier.silence()
    )


def test_a_broker_that_dies_before_it_took_the_command_is_an_error(errand: Errand) -> None:
    """After it took it nobody knows but the node: that is said."""
    early = Errand()
    early.broker.kill()
    early.link.connect()
    with pytest.raises(LinkError, match="is the broker running"):
        early.go()
    errand.begin()
    errand.broker.kill()
    errand.go()
    assert errand.courier.is_over
    assert errand.courier.silence().endswith("whether it was obeyed is told by its chain")


def test_a_broker_that_refuses_is_an_error(errand: Errand) -> None:
    errand.broker.refuse("Not authorized")
    with pytest.raises(LinkError, match="refused to take the command: Not authorized"):
        errand.begin()
