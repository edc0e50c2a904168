"""The registrar at its desk: a folder with its keys, what it has issued, and what it answers.

Everything that changes together is written together. The folder is the registrar's alone; what
others need of it are `ca.crt`, `ca.crl`, `nodes.json`, the files of their own role, and answers.
"""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from agent.adapters.filing import read_file, replace_files
from agent.adapters.keyfile import (
    Ed25519FileSigner,
    TlsFileKey,
    load_p256_key,
    load_public_key_file,
)
from agent.core.records.envelope import key_id, load_public_pem
from agent.core.trust.enrolment import (
    EnrolmentRequest,
    EnrolmentResponse,
    digest_of,
    open_request,
    seal_response,
    tls_key,
)
from agent.core.trust.proquint import fingerprint
from agent.core.units import NS_PER_S, moment_of
from agent.errors import EnrolmentError, KeyFileError
from simulator.centre.registrar import roles
from simulator.centre.registrar.authority import NODE_LASTS, ROLE_LASTS, Authority, Issued
from simulator.centre.registrar.issued import Enrolled, Ledger, Place
from simulator.centre.stated_clock import Present, dated

USERS = ("locator", "operator")
ROLES = ("broker", *USERS)
ALWAYS_HOSTS = ("localhost", "127.0.0.1")
MAX_LEDGER_BYTES = 64 * 1024 * 1024

# A rotated key was handed over in the node's own records; a replaced one is lost with its node.
NewKey = Literal["refused", "rotated", "replaced"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node gets: the sealed response, and the copy of it that is kept here."""

    sealed: bytes
    kept: Path
    node: Enrolled


class Registrar:
    """Holds the keys and the ledger in `directory`; `opened` makes sure that nobody else does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for role in ROLES:
            roles.settle(directory, role)
        self._signer = Ed25519FileSigner.load(directory / "registrar.pem")
        self.ledger = _read_ledger(directory / "ledger.json")
        certificate = read_file(directory / "ca.crt", MAX_LEDGER_BYTES).decode("ascii", "replace")
        key = load_p256_key(directory / "ca.key")
        try:
            self._authority = Authority.restore(key, certificate)
        except ValueError:
            raise EnrolmentError(f"{directory / 'ca.crt'}: is no certificate") from None

    @property
    def public_pem(self) -> str:
        """The key that nodes pin."""
        return self._signer.public_pem()

    @property
    def words(self) -> str:
        """Those of the key that nodes pin."""
        return fingerprint(digest_of(load_public_pem(self.public_pem.encode())))

    def dated(self, present: Present) -> int:
        """UTC in ns of what is issued now. Raises CalendarError where it cannot be that: so long
        ago that a node's certificate would have ended before what was done here since."""
        return dated(
            present, self.ledger.latest_utc_ns - round(NODE_LASTS.total_seconds()) * NS_PER_S
        )

    def sign(
        self,
        raw: bytes,
        trust: Callable[[EnrolmentRequest, str], None],
        place: Place | None,
        utc_ns: int,
        new_key: NewKey = "refused",
    ) -> Answer:
        """Enrol the node that has made the request `raw`, or renew what it has.

        `trust` gets the request and its words, and raises EnrolmentError unless a person has
        heard them at the node. `place` may be None for a node that is known. `new_key` is what to
        think of another evidence key than it had. Raises EnrolmentError, RecordError or
        KeyFileError; nothing is changed then.
        """
        request, digest = open_request(raw)
        before = self.ledger.known().get(request.common_name)
        self._check(request, before, new_key)
        place = place or (before.place if before else None)
        if place is None:
            raise EnrolmentError(f"{request.common_name} is new: say with --at where it hangs")
        trust(request, fingerprint(digest))
        ledger, registered, former = self.ledger, request.key, {}
        if before and (before.key == request.key or new_key == "rotated"):
            registered = before.registered
        elif before:
            ledger = ledger.without(before.name, utc_ns)
            former = {self._former(before): _pretty([ledger.known()[before.name].row])}
        issued = self._authority.for_client(
            request.common_name, tls_key(request), moment_of(utc_ns), NODE_LASTS
        )
        ledger = ledger.with_node(request, registered, issued, place, utc_ns)
        sealed = self._response(request, issued, ledger, utc_ns)
        kept = self._kept(ledger.nodes[-1])
        self._write(ledger, utc_ns, {kept: sealed, **former})
        return Answer(sealed, kept, ledger.nodes[-1])

    def revoke(self, name: str, utc_ns: int) -> None:
        """Nothing that `name` has got counts any more; a role gets new keys and certificate.

        Raises EnrolmentError for a name that nobody has.
        """
        if name in ROLES:
            self._issue_role(name, utc_ns)
            return
        node = self.ledger.known().get(name)
        if node is None:
            raise EnrolmentError(f"{name}: no such node; `registrar list` names them")
        if node.revoked:
            raise EnrolmentError(f"{name}: was revoked at {node.revoked:%Y-%m-%d %H:%M} already")
        self._write(self.ledger.without(name, utc_ns), utc_ns)

    def _check(self, request: EnrolmentRequest, before: Enrolled | None, new_key: NewKey) -> None:
        """Raises EnrolmentError for a request that must not be answered."""
        for one in self.ledger.nodes:
            if one.nonce == request.nonce:
                raise EnrolmentError(
                    f"was answered at {one.issued:%Y-%m-%d %H:%M} UTC, and is answered once: the "
                    f"answer is {self._kept(one)}; if that is of no use, make a new request"
                )
            if one.key == request.key and one.revoked:
                raise EnrolmentError(
                    f"the evidence key {one.keyid} of {one.name} was revoked: "
                    "move its file away and make a new request"
                )
            if one.key == request.key and one.name != request.common_name:
                raise EnrolmentError(
                    f"the evidence key {one.keyid} is that of {one.name}: "
                    "each node needs its own; revoke that one if it is no more"
                )
        if before and before.revoked and new_key == "rotated":
            raise EnrolmentError(f"{before.name} was revoked: its keys have no heirs")
        if before and not before.revoked and before.key != request.key and new_key == "refused":
            raise EnrolmentError(
                f"{before.name} is known by another evidence key ({before.keyid}): say --rotated "
                "if it was rotated by command, --replaced if node or key are lost; that revokes "
                "what the old key got"
            )

    def _response(
        self, request: EnrolmentRequest, issued: Issued, ledger: Ledger, utc_ns: int
    ) -> bytes:
        response = EnrolmentResponse(
            site=request.site,
            cell=request.cell,
            node=request.node,
            nonce=request.nonce,
            keyid=key_id(request.evidence_key()),
            certificate=issued.pem,
            authority=self._authority.pem,
            revoked=self._authority.revocations(ledger.revoked(), moment_of(utc_ns)),
            locators=self._public_keys("locator"),
            operators=self._public_keys("operator"),
            broker_url=ledger.broker_url,
            registrar=self._signer.public_pem(),
            issued_utc_ns=str(utc_ns),
        )
        return seal_response(response, self._signer)

    def _public_keys(self, user: str) -> tuple[str, ...]:
        """Those of every file LOCATOR*.pub.pem: more of them than one may be in force."""
        files = sorted(self.directory.glob(f"{user}*.pub.pem"))
        try:
            for path in files:
                load_public_key_file(path)
        except KeyFileError as error:
            raise EnrolmentError(str(error)) from None
        return tuple(read_file(path, 4096).decode("ascii", "replace") for path in files)

    def _issue_role(self, name: str, utc_ns: int) -> None:
        """A new key and certificate for a role; what it had counts no more."""
        key, now = roles.next_key(self.directory, name).public_key(), moment_of(utc_ns)
        if name == "broker":
            issued = self._authority.for_server(self.ledger.hosts, key, now)
        else:
            issued = self._authority.for_client(name, key, now, ROLE_LASTS)
        ledger = self.ledger.without(name, utc_ns).with_role(name, issued, utc_ns)
        self._write(ledger, utc_ns, {self.directory / f"{name}.crt": issued.pem.encode()})
        roles.settle(self.directory, name)

    def _write(self, ledger: Ledger, utc_ns: int, others: dict[Path, bytes] | None = None) -> None:
        """The ledger last, so that what it tells of is there."""
        rows = [node.row for node in ledger.known().values()]
        revoked = self._authority.revocations(ledger.revoked(), moment_of(utc_ns))
        replace_files(
            {
                **(others or {}),
                self.directory / "ca.crl": revoked.encode(),
                self.directory / "nodes.json": _pretty(rows),
                self.directory / "ledger.json": _pretty(ledger),
            }
        )
        self.ledger = ledger

    def _kept(self, node: Enrolled) -> Path:
        return self.directory / "responses" / f"{node.nonce}.response"

    def _former(self, node: Enrolled) -> Path:
        return self.directory / "former" / f"{node.name.replace('/', '.')}.{node.keyid}.json"


def found(directory: Path, broker_url: str, hosts: tuple[str, ...], utc_ns: int) -> None:
    """Make a registrar in a folder that is new or empty. Raises EnrolmentError, KeyFileError."""
    url = urlsplit(broker_url)
    if url.scheme != "mqtts" or not url.hostname:
        raise EnrolmentError(f"{broker_url!r} is no broker for nodes: write mqtts://HOST[:PORT]")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise EnrolmentError(f"{directory}: exists already; a registrar is never overwritten")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f"{directory.name}."))
        (growing / "responses").mkdir()
        (growing / "former").mkdir()
    except OSError as error:
        raise EnrolmentError(f"{directory}: cannot be made: {error.strerror}") from None
    Ed25519FileSigner.create(growing / "registrar.pem")
    TlsFileKey.create(growing / "ca.key")
    authority = Authority.found(
        load_p256_key(growing / "ca.key"), f"earshot {secrets.token_hex(4)}", moment_of(utc_ns)
    )
    names = tuple(dict.fromkeys((url.hostname, *ALWAYS_HOSTS, *hosts)))
    contents = {"ca.crt": authority.pem.encode()}
    contents["ledger.json"] = _pretty(Ledger(broker_url=broker_url.rstrip("/"), hosts=names))
    for name in ("registrar", *USERS):
        path = growing / f"{name}.pem"
        signer = Ed25519FileSigner.load(path) if path.exists() else Ed25519FileSigner.create(path)
        contents[f"{name}.pub.pem"] = signer.public_pem().encode()
    replace_files({growing / name: content for name, content in contents.items()})
    registrar = Registrar(growing)
    for role in ROLES:
        registrar.revoke(role, utc_ns)
    growing.rename(directory)


@contextmanager
def opened(directory: Path) -> Iterator[Registrar]:
    """The registrar in a folder, which is ours alone meanwhile. Raises EarshotError."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EnrolmentError(
            f"{directory}: cannot be opened: {error.strerror}; "
            "`earshot-sim registrar init` makes a registrar"
        ) from None
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Registrar(directory)
    finally:
        os.close(descriptor)


def _read_ledger(path: Path) -> Ledger:
    try:
        return msgspec.json.decode(read_file(path, MAX_LEDGER_BYTES), type=Ledger)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise EnrolmentError(f"{path}: is no ledger of a registrar: {error}") from None


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
