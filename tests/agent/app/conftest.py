"""A node's uplink at a virtual broker, closed at the end of each test."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.app.uplink import Uplink
from simulator.grid.virtual_broker import VirtualBroker, VirtualPublisher
from tests.support.drafts import LOCATOR_KEYS, outbox_of, sealed_status
from tests.support.uplinked import IDENTITY, RECEIPTS, Pole


@pytest.fixture
def pole(tmp_path: Path) -> Iterator[Pole]:
    broker = VirtualBroker()
    outbox = outbox_of("n1", tmp_path / "o.db")
    voices = ["first key"]

    def will() -> tuple[str, bytes]:
        return f"{IDENTITY.topic}/status", voices[-1].encode()

    link = VirtualPublisher(broker, IDENTITY.source, (RECEIPTS,), will)
    uplink = Uplink(
        IDENTITY,
        outbox,
        link,
        LOCATOR_KEYS,
        lambda backlog, connects: sealed_status("n1", backlog, connects),
        random.Random(1),
        keyid=lambda: voices[-1],
    )
    listener = VirtualPublisher(broker, "locator", ("earshot/v1/#",), persistent=True)
    listener.connect()
    yield Pole(broker, outbox, uplink, listener, voices)
    outbox.close()
