"""A node's side of enrolment, offline: a request to carry to the registrar, and its answer.

The registrar's key is pinned by the first answer, once a person has compared its words, or by
`registrar.pub.pem` laid into the store's directory beforehand. The network, and what the
registrar does with a request, are not here.
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import agent
from agent.adapters.filing import read_file, replace_files, write_new_file
from agent.adapters.hardware import hardware
from agent.adapters.host import Discipline, kernel_discipline
from agent.adapters.keyfile import TlsFileKey, load_public_key_file
from agent.adapters.knowntime import KnownTime
from agent.app.evidence import evidence_key
from agent.app.trustedclock import by_host
from agent.core.records.envelope import raw_public_key
from agent.core.trust.certificate_time import TrustedTime
from agent.core.trust.enrolment import (
    MAX_BYTES,
    Earliest,
    EnrolmentRequest,
    EnrolmentResponse,
    check_name,
    check_response,
    digest_of,
    open_request,
    open_response,
    seal_request,
)
from agent.core.trust.proquint import fingerprint
from agent.core.units import NS_PER_S
from agent.errors import EarshotError, EnrolmentError
from agent.ports import HostClock
from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was written, and the words that its bearer reads aloud."""

    request: EnrolmentRequest
    words: str


@dataclass(frozen=True, slots=True)
class Installed:
    """An answer whose files are in place; `is_new` is False if they all were before."""

    response: EnrolmentResponse
    is_new: bool


class Enrolment:
    """What one node keeps of its enrolment, by its settings."""

    def __init__(self, settings: Settings) -> None:
        self._node, self._keys = settings.node, settings.keys
        self._ca, self._certificate, self._tls_key = _tls_files(settings)
        self._evidence = settings.keys.evidence
        store = Path(settings.store.directory)
        self._known_utc = store / "known-utc"
        self._request = store / "enrolment-request.json"
        self._response = store / "enrolment-response.json"
        self._pin = store / "registrar.pub.pem"

    def ask(self, out: Path) -> Asked:
        """Make what keys are missing, and a request in the new file `out`. Raises EarshotError.

        Answers to earlier requests are refused from now on.
        """
        common_name = f"{self._node.site}/{self._node.cell}/{self._node.id}"
        check_name(common_name)
        if out.exists():
            raise EnrolmentError(f"{out}: exists already: move it away, or name another with --out")
        _make_directory(self._request.parent)
        with evidence_key(self._evidence, "either") as evidence:
            request = EnrolmentRequest(
                site=self._node.site,
                cell=self._node.cell,
                node=self._node.id,
                nonce=secrets.token_hex(16),
                key=base64.b64encode(evidence.signer.public_key()).decode(),
                csr=_own(self._tls_key).csr(common_name),
                hardware=hardware(),
                software=agent.__version__,
            )
            sealed = seal_request(request, evidence.signer)
        replace_files({self._request: sealed})
        write_new_file(out, sealed + b"\n")
        return Asked(request, fingerprint(open_request(sealed)[1]))

    def install(
        self,
        file: Path,
        clock: HostClock,
        trust: Callable[[str], None],
        discipline: Callable[[], Discipline] = kernel_discipline,
    ) -> Installed:
        """Take in the answer in `file`: all of it or, where anything is wrong, nothing.

        `trust` gets the words of a registrar's key that is not pinned, and raises EnrolmentError
        unless a person knows them. Raises EarshotError.
        """
        raw = read_file(file, MAX_BYTES)
        try:
            response = open_response(raw)
            self._check_registrar(response, trust)
            self._check(response, by_host(clock, discipline))
        except EarshotError as error:
            raise EnrolmentError(f"{file}: {error}") from None
        return Installed(response, replace_files(self._files(response, raw)))

    def _check_registrar(self, response: EnrolmentResponse, trust: Callable[[str], None]) -> None:
        key = response.registrar_key()
        if not self._pin.exists():
            trust(fingerprint(digest_of(key)))
        elif raw_public_key(load_public_key_file(self._pin)) != raw_public_key(key):
            raise EnrolmentError(
                "is from another registrar than the one this node trusts: do not use it, or, if "
                f"the registrar was replaced, remove {self._pin} and compare words again"
            )

    def _check(self, response: EnrolmentResponse, hosts: TrustedTime) -> None:
        if not self._request.exists():
            raise EnrolmentError("answers a request of another node: here none was made")
        request, _ = open_request(read_file(self._request, MAX_BYTES))
        with evidence_key(self._evidence) as evidence:
            if evidence.signer.public_key() != raw_public_key(request.evidence_key()):
                raise EnrolmentError(
                    "registers an evidence key that is no longer this node's: make a new request"
                )
        tls = TlsFileKey.load(self._tls_key).public_key()
        is_vouched = hosts.clock == "host"
        latest_ns = hosts.latest_ns if is_vouched else agent.BELIEVED_UNTIL_UTC_S * NS_PER_S
        check_response(response, request, tls, self._earliest(hosts), latest_ns)
        if self._response.exists():
            held = open_response(read_file(self._response, MAX_BYTES))
            if int(held.issued_utc_ns) > int(response.issued_utc_ns):
                raise EnrolmentError("is older than the answer that is installed: use the latest")

    def _earliest(self, hosts: TrustedTime) -> Earliest:
        alone = "" if hosts.clock == "host" else ", for which nobody vouches"
        return max(
            Earliest(hosts.earliest_ns, f"this host's clock{alone}"),
            Earliest(KnownTime(self._known_utc).utc_ns or 0, "the last time it knew for good"),
            Earliest(agent.RELEASED_UTC_S * NS_PER_S, "the date of its software"),
        )

    def _files(self, response: EnrolmentResponse, raw: bytes) -> dict[Path, bytes]:
        """What is to stand where. The list of the revoked stands beside the authority."""
        contents = {
            self._ca: response.authority + response.revoked,
            self._certificate: response.certificate,
            self._pin: response.registrar,
        }
        for setting, names, keys in (
            ("keys.locator_public", self._keys.locator_public, response.locators),
            ("keys.operator_public", self._keys.operator_public, response.operators),
        ):
            if names and len(names) != len(keys):
                raise EnrolmentError(
                    f"the registrar gives {len(keys)} keys for {setting}, which lists "
                    f"{len(names)} files: list {len(keys)}"
                )
            contents |= {Path(name): key for name, key in zip(names, keys, strict=bool(names))}
        return {path: text.encode() for path, text in contents.items()} | {self._response: raw}


def _tls_files(settings: Settings) -> tuple[Path, Path, Path]:
    broker = settings.broker
    if not (broker.ca and broker.certificate and broker.certificate_key):
        raise EnrolmentError(
            "set broker.ca, broker.certificate and broker.certificate_key: "
            "they say where the files go"
        )
    return Path(broker.ca), Path(broker.certificate), Path(broker.certificate_key)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be made: {error.strerror}") from None


def _own(path: Path) -> TlsFileKey:
    return TlsFileKey.load(path) if path.exists() else TlsFileKey.create(path)
