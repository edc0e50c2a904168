"""What every link to a broker promises, run over Mosquitto, NATS and the virtual broker."""

from collections.abc import Iterator

import pytest

from agent.ports import Connected, Lost, Message, Refused, Sent
from tests.support.links import KINDS, Collector, World, until, world_of


@pytest.fixture(params=KINDS, scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[World]:
    """One broker of each kind for the tests that leave it alive; client ids must differ."""
    with world_of(request.param) as world:
        yield world


@pytest.fixture(params=KINDS)
def mortal(request: pytest.FixtureRequest) -> Iterator[World]:
    """A broker for one test alone, which may kill it."""
    with world_of(request.param) as world:
        yield world


def connected(world: World, client_id: str, *subscriptions: str, **options: object) -> Collector:
    collector = Collector(world.link(client_id, *subscriptions, **options))
    collector.publisher.connect()
    collector.wait(Connected)
    return collector


def test_a_link_is_silent_until_it_is_told_to_connect(shared: World) -> None:
    """Nothing happens by itself, and what is published before is lost without an error."""
    link = shared.link("silent")
    link.publish("silent/x", b"lost")
    assert link.poll() == []
    link.close()
    link.close()
    assert link.poll() == []


def test_a_message_arrives_and_is_acknowledged_under_its_token(shared: World) -> None:
    """Any bytes up to the envelope's limit arrive as they were, at every matching subscriber."""
    exact = connected(shared, "exact", "exchange/a/receipt")
    wild = connected(shared, "wild", "exchange/+/receipt")
    below = connected(shared, "below", "exchange/#")
    sender = connected(shared, "sender")
    payload = bytes(range(256)) * 64
    tokens = [
        sender.publisher.publish("exchange/a/receipt", payload),
        sender.publisher.publish("exchange/b/event/impulse", b""),
    ]
    assert [event.token for event in sender.wait(Sent, 2)] == tokens
    assert exact.wait(Message) == [Message("exchange/a/receipt", payload)]
    assert wild.wait(Message) == [Message("exchange/a/receipt", payload)]
    assert below.wait(Message, 2)[1] == Message("exchange/b/event/impulse", b"")
    assert len(exact.seen(Message)) == len(wild.seen(Message)) == 1


def test_messages_of_one_sender_arrive_in_order(shared: World) -> None:
    """A window of messages keeps its order, each with a token of its own."""
    listener, sender = connected(shared, "ordered", "order/+"), connected(shared, "orderly")
    tokens = [sender.publisher.publish("order/x", b"%d" % number) for number in range(200)]
    assert len(set(tokens)) == 200
    told = listener.wait(Message, 200)
    assert [int(message.payload) for message in told] == list(range(200))
    assert {event.token for event in sender.wait(Sent, 200)} == set(tokens)


def test_a_retained_message_greets_the_late_subscriber(shared: World) -> None:
    """The last one on a topic, and only if it was sent to be retained."""
    sender = connected(shared, "herald")
    for payload in (b"old", b"new"):
        sender.publisher.publish("retained/kept", payload, retain=True)
    sender.publisher.publish("retained/passing", b"gone")
    until_answered(sender, 3)
    late = connected(shared, "late", "retained/#")
    sender.publisher.publish("retained/end", b"")
    assert late.wait(Message, 2) == [Message("retained/kept", b"new"), Message("retained/end", b"")]


def until_answered(sender: Collector, count: int) -> None:
    """Wait for an answer to each publish; which one depends on who listens."""
    until(lambda: len(sender.seen(Sent)) + len(sender.seen(Refused)) == count)


def test_the_last_will_is_spoken_for_the_dead_only(shared: World) -> None:
    """A clean good-bye is silent; a broken connection is told to whoever asks, also later."""
    listener = connected(shared, "mourner", "will/#")
    connected(shared, "polite", will=lambda: ("will/polite", b"offline")).publisher.close()
    victim = connected(shared, "victim", will=lambda: ("will/victim", b"offline"))
    shared.cut(victim.publisher)
    assert victim.wait(Lost)
    assert listener.wait(Message) == [Message("will/victim", b"offline")]
    assert connected(shared, "heir", "will/#").wait(Message) == listener.events[-1:]


def test_whoever_connects_again_says_good_bye_first_and_has_a_fresh_will(shared: World) -> None:
    """Nobody is told that the client died, and after its death its latest words are."""
    listener = connected(shared, "doctor", "fresh/#")
    words = [b"first"]
    client = connected(shared, "patient", will=lambda: ("fresh/patient", words[-1]))
    words.append(b"second")
    client.events.clear()
    client.publisher.connect()
    client.wait(Connected)
    assert client.seen(Lost) == []
    shared.cut(client.publisher)
    assert listener.wait(Message) == [Message("fresh/patient", b"second")]


def test_a_lasting_session_is_kept_and_a_clean_one_is_not(shared: World) -> None:
    """What was said while we were away comes later, if that was asked for at the first connect."""
    clean = connected(shared, "clean", "session/#")
    lasting = connected(shared, "lasting", "session/#", lasting=True)
    for away in (clean, lasting):
        away.publisher.close()
    sender = connected(shared, "talker")
    sender.publisher.publish("session/x", b"while away")
    until_answered(sender, 1)
    for back in (clean, lasting):
        back.events.clear()
        back.publisher.connect()
        back.wait(Connected)
    sender.publisher.publish("session/x", b"now")
    assert [message.payload for message in lasting.wait(Message, 2)] == [b"while away", b"now"]
    assert [message.payload for message in clean.wait(Message)] == [b"now"]
    assert len(clean.seen(Message)) == 1


def test_connecting_again_ends_the_first_connection_for_good(shared: World) -> None:
    """One connection at a time: its tokens and its `Lost` never show up under the next one."""
    twice = connected(shared, "twice", "twice/+")
    stale = [twice.publisher.publish("twice/x", b"%d" % number) for number in range(50)]
    twice.publisher.connect()
    twice.events.clear()
    twice.wait(Connected)
    token = twice.publisher.publish("twice/y", b"fresh")
    assert token not in stale
    assert [event.token for event in twice.wait(Sent)] == [token]
    assert twice.seen(Lost) == []
    until(lambda: Message("twice/y", b"fresh") in twice.seen(Message))


def test_a_second_client_of_the_same_name_takes_over(shared: World) -> None:
    """The earlier one is told that it is out."""
    first = connected(shared, "same")
    second = connected(shared, "same")
    assert first.wait(Lost)
    assert second.seen(Lost) == []


def test_a_dead_broker_is_told_and_a_new_one_found(mortal: World) -> None:
    """Loss and refusal have reasons for a person; after the restart all is as at first."""
    link = connected(mortal, "survivor", "s/+")
    mortal.broker.kill()
    (lost,) = link.wait(Lost)
    assert "lost" in lost.reason
    link.publisher.connect()
    refused = link.wait(Lost, 2)[1]
    assert refused.reason.startswith("connection refused by ")
    assert refused.reason.endswith(": is the broker running?")
    mortal.broker.restart()
    link.publisher.connect()
    link.wait(Connected, 2)
    link.publisher.publish("s/x", b"again")
    assert link.wait(Message) == [Message("s/x", b"again")]
