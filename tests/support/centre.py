"""The locator of one pole, serving in the background; the pole's own key signs its receipts."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.adapters.outbox import SqliteOutbox
from agent.core.records import Sealer
from agent.core.records.envelope import load_public_key
from agent.core.records.kinds import Identity
from simulator.centre.locator.registry import Registry, Station
from simulator.centre.locator.service import SUBSCRIPTIONS, LocatorService
from simulator.centre.locator.store import EventStore
from tests.support.drafts import NOW
from tests.support.pole import Pole

PATIENCE_S = 60.0
POLL_S = 0.05


def signer_at(pole: Pole) -> Ed25519FileSigner:
    return Ed25519FileSigner.load(pole.home / "node.pem")


def outbox_at(pole: Pole, path: Path, max_bytes: int = 64 << 20) -> SqliteOutbox:
    """The store at `path`, as the daemon of `pole` would open it."""
    signer = signer_at(pole)
    identity = Identity(site="s", cell="c", node="n1", keyid=signer.keyid, boot="b" * 32)
    return SqliteOutbox(path, Sealer(identity, signer), lambda: "c" * 32, max_bytes=max_bytes)


class Centre:
    """Verifies, keeps and receipts what `pole` sends; to be asked once its context has ended."""

    def __init__(self, pole: Pole, directory: Path) -> None:
        signer = signer_at(pole)
        station = Station(
            source="urn:earshot:s:c:n1",
            site="s",
            cell="c",
            node="n1",
            key=load_public_key(signer.public_key()),
            enu_m=(0.0, 0.0, 5.0),
            sigma_m=0.1,
        )
        registry = Registry({station.source: station}, None)
        self.store = EventStore(directory / "locator.sqlite", registry.keys, signer)
        self._link = MqttLink(
            MqttOptions(url=pole.url, client_id="centre", subscriptions=SUBSCRIPTIONS)
        )
        self.service = LocatorService(self.store, self._link, registry)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Centre":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()
        self._link.close()

    def upto_seq(self) -> int:
        """How far the pole's chain is whole here."""
        chains = self.store._chains.of("urn:earshot:s:c:n1")
        return max((chain.upto_seq for chain in chains), default=0)

    def wait(self, is_true: Callable[[], bool], what: str) -> float:
        """How many seconds it took until `is_true`; fails after PATIENCE_S."""
        began_s = time.monotonic()
        while not is_true():
            assert time.monotonic() < began_s + PATIENCE_S, f"no {what}"
            time.sleep(POLL_S)
        return time.monotonic() - began_s

    def _serve(self) -> None:
        while not self._ending.wait(0.02):
            self.service.step(time.monotonic_ns(), lambda: NOW)
