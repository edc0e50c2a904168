"""A folder for the locator's store of one run, and a look at what it held."""

import tempfile
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from agent.core.records import Body
from agent.core.records.kinds import Impulse
from simulator.centre.locator.store import EventStore
from simulator.grid.fleet import locator_signer
from simulator.grid.grid import STORE_NAME, GridResult


class Kept:
    """Keeps what `grid.run` leaves in `directory` until the context ends."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._temporary = tempfile.TemporaryDirectory(prefix="earshot-run-")
        self.directory = Path(self._temporary.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._temporary.cleanup()

    def sample(self, result: GridResult) -> dict[str, Any] | None:
        """One impulse as it was signed, from a located round if there is any."""
        used = {
            arrival.record_id
            for incident in result.incidents
            for one in incident.rounds
            for arrival in one.arrivals
        }
        keys = {source: station.key for source, station in result.stations.items()}
        path = self.directory / STORE_NAME
        any_impulse = None
        with closing(EventStore(path, keys, locator_signer(self._seed))) as store:
            for body in store.bodies():
                if isinstance(body.data, Impulse):
                    any_impulse = any_impulse or body
                    if body.id in used:
                        return _plain(body)
        return None if any_impulse is None else _plain(any_impulse)


def _plain(body: Body) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(body)
    return plain
