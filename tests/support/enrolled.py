"""A registrar and the nodes of its town, in one process: files, words and clocks of our choice."""

from pathlib import Path

import agent
from agent import settings
from agent.adapters.host import Discipline
from agent.app.enrol import Asked, Enrolment, Installed
from agent.core.units import NS_PER_S
from agent.settings import Settings
from simulator.centre.registrar.issued import Place
from simulator.centre.registrar.registrar import Answer, NewKey, Registrar, found, opened

DAY_NS = 86_400 * NS_PER_S
NOW_NS = agent.RELEASED_UTC_S * NS_PER_S + 30 * DAY_NS
BROKER_URL = "mqtts://127.0.0.1:8883"
PLACE: Place = ((40.4, -79.9, 250.0), 1.0)


class StoppedClock:
    """A host's clock that shows one moment of UTC until told otherwise (HostClock port)."""

    def __init__(self, utc_ns: int = NOW_NS) -> None:
        self.utc_ns = utc_ns

    def monotonic_ns(self) -> int:
        return 0

    def realtime_ns(self) -> int:
        return self.utc_ns


class Hut:
    """One node's folder: its settings, and what enrolment leaves in it."""

    def __init__(self, folder: Path, name: str = "n1", url: str = BROKER_URL) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.config, self.requests = folder, folder / "node.toml", 0
        self.config.write_text(
            f"""
            node = {{ site = "town", cell = "north", id = "{name}" }}
            store.directory = "{folder}/store"
            [broker]
            url = "{url}"
            ca = "{folder}/store/ca.crt"
            certificate = "{folder}/store/node.crt"
            certificate_key = "{folder}/store/node.key"
            [keys]
            evidence = "{folder}/store/evidence.pem"
            locator_public = ["{folder}/store/locator.pub.pem"]
            operator_public = ["{folder}/store/operator.pub.pem"]
            """
        )

    @property
    def settings(self) -> Settings:
        return settings.load(self.config)

    def ask(self) -> tuple[Asked, bytes]:
        """A fresh request, and the file that was written."""
        self.requests += 1
        out = self.folder / f"{self.requests}.request"
        return Enrolment(self.settings).ask(out), out.read_bytes()

    def install(
        self, sealed: bytes, utc_ns: int = NOW_NS, *, is_vouched: bool = False
    ) -> Installed:
        """Take in an answer by a clock for which the kernel vouches to a second, or not at all; any
        registrar's words are believed."""
        file = self.folder / "answer"
        file.write_bytes(sealed)
        return Enrolment(self.settings).install(
            file,
            StoppedClock(utc_ns),
            lambda words: None,
            lambda: Discipline(is_vouched, NS_PER_S, "unknown"),
        )

    def files(self) -> dict[str, bytes]:
        """All that stands in the store, by name."""
        return {path.name: path.read_bytes() for path in (self.folder / "store").iterdir()}


class Office:
    """A registrar's folder, with what people would say to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        found(directory, BROKER_URL, (), NOW_NS)

    def sign(
        self,
        raw: bytes,
        utc_ns: int = NOW_NS,
        place: Place | None = PLACE,
        new_key: NewKey = "refused",
    ) -> Answer:
        """Answer a request whose words nobody compares."""
        with opened(self.directory) as registrar:
            return registrar.sign(raw, lambda request, words: None, place, utc_ns, new_key)

    def revoke(self, name: str, utc_ns: int = NOW_NS) -> None:
        with opened(self.directory) as registrar:
            registrar.revoke(name, utc_ns)

    @property
    def registrar(self) -> Registrar:
        return Registrar(self.directory)

    def files(self) -> dict[Path, bytes]:
        """All that stands in the folder."""
        return {path: path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}
