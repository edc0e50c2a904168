"""The locator's wire: it comes back, and what had no answer is said again."""

import random

from agent.core.units import NS_PER_S
from agent.ports import Message
from simulator.centre.locator.post import SILENCE_NS, Letter, Post
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher

LETTERS = [Letter(f"out/{number}", b"x") for number in range(3)]


class Street:
    """A post over a virtual broker, someone who reads its letters, and time."""

    def __init__(self):
        self.broker = VirtualBroker()
        link = VirtualPublisher(self.broker, "post", ("in/#",), persistent=True)
        self.post = Post(link, random.Random(1))
        self.reader = VirtualPublisher(self.broker, "reader", ("out/#",))
        self.reader.connect()
        self.now_ns = 0

    def run(self, seconds):
        heard = []
        for _ in range(round(seconds * 10)):
            heard += self.post.receive(self.now_ns)
            self.post.send(self.now_ns)
            self.now_ns += NS_PER_S // 10
        return heard

    def read(self):
        return [event.topic for event in self.reader.poll() if isinstance(event, Message)]


def test_letters_go_out_in_order_and_once():
    """While nothing is amiss, a reader gets each letter once."""
    street = Street()
    for letter in LETTERS:
        street.post.say(letter)
    assert not street.post.idle
    street.run(1)
    assert street.read() == ["out/0", "out/1", "out/2"]
    assert street.post.idle
    assert street.post.is_up


def test_what_is_said_while_the_broker_is_down_goes_out_later():
    """A dead broker costs time, not letters; reconnects are spread over seconds."""
    street = Street()
    street.run(1)
    street.broker.kill()
    street.run(20)
    assert not street.post.is_up
    assert "is the broker running?" in street.post.trouble
    street.post.say(LETTERS[0])
    street.broker.restart()
    street.reader.connect()
    street.run(70)
    assert street.read() == ["out/0"]
    assert street.post.idle


def test_letters_without_an_answer_are_said_again():
    """The broker took them in and said nothing: a new connection, and all of them again."""
    street = Street()
    street.broker.drop_pubacks()
    for letter in LETTERS:
        street.post.say(letter)
    street.run(1)
    street.read()
    assert not street.post.idle
    street.broker.drop_pubacks(False)
    street.run(SILENCE_NS / NS_PER_S + 10)
    assert street.read() == ["out/0", "out/1", "out/2"]
    assert street.post.idle


def test_a_refused_letter_is_counted_and_dropped():
    """No reader, or not allowed: asking again would not help."""
    street = Street()
    street.broker.refuse("Not authorized")
    street.post.say(LETTERS[0])
    street.run(1)
    assert street.post.idle
    assert street.post.refused == {"Not authorized": 1}


def test_messages_wait_for_a_link_that_was_cut():
    """A lasting session: what came meanwhile is read after the reconnect."""
    street = Street()
    street.run(1)
    street.broker.cut("post")
    street.reader.publish("in/1", b"y")
    heard = street.run(12)
    assert [message.topic for message in heard] == ["in/1"]


def test_what_is_retained_is_said_again_on_each_connection():
    """A broker that lost it has it again; only the latest letter of a topic, and only once."""
    street = Street()
    for payload in (b"old", b"new"):
        street.post.say(Letter("out/kept", payload, retain=True))
    street.run(1)
    for _ in range(2):
        street.broker.kill()
        street.broker.restart()
        street.run(61)
    late = VirtualPublisher(street.broker, "late", ("out/#",))
    late.connect()
    told = [event.payload for event in late.poll() if isinstance(event, Message)]
    assert told == [b"new"]
