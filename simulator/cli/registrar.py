"""`earshot-sim registrar`: found a city's registrar, enrol its nodes, revoke them."""

import argparse
from datetime import datetime
from functools import partial

from agent.adapters.filing import read_file, write_new_file
from agent.cli.words import compare_words
from agent.core.trust.enrolment import MAX_BYTES, EnrolmentRequest, Hardware
from agent.core.units import moment_of
from agent.errors import EarshotError, EnrolmentError
from simulator.centre.registrar.issued import Enrolled, Role
from simulator.centre.registrar.registrar import ROLES, found, opened
from simulator.centre.stated_clock import Present, dated
from simulator.cli.present import here, tell_unvouched


def command(arguments: argparse.Namespace) -> int:
    """Do what the verb says."""
    verbs = {"init": _init, "sign": _sign, "list": _list, "revoke": _revoke, "show": _show}
    present = here()
    verbs[arguments.verb](arguments, present)
    is_look = arguments.verb in ("list", "show")
    tell_unvouched(present, f"{'what has ended is told' if is_look else 'papers are dated'} by it")
    return 0


def _init(arguments: argparse.Namespace, present: Present) -> None:
    found(arguments.dir, arguments.broker, tuple(arguments.host), dated(present))
    _show(arguments, present)


def _sign(arguments: argparse.Namespace, present: Present) -> None:
    out = arguments.out or arguments.request.with_suffix(".response")
    if out.exists():
        raise EnrolmentError(f"{out}: exists already: move it away, or name another with --out")
    raw = read_file(arguments.request, MAX_BYTES)
    place = (arguments.at, arguments.sigma_m) if arguments.at else None
    trust = partial(_trust, heard=arguments.fingerprint, unheard=arguments.yes)
    with opened(arguments.dir) as registrar:
        try:
            utc_ns = registrar.dated(present)
            answer = registrar.sign(raw, trust, place, utc_ns, arguments.new_key)
        except EarshotError as error:
            raise EnrolmentError(f"{arguments.request}: {error}") from None
        words = registrar.words
    write_new_file(out, answer.sealed + b"\n")
    node = answer.node
    print(f"{out}: answer for {node.name}, key {node.keyid}, until {node.until:%Y-%m-%d}.")
    print(f"Take it to the node; for its first one, read aloud: {words}")


def _trust(request: EnrolmentRequest, words: str, heard: str | None, unheard: bool) -> None:
    print(f"{request.common_name} asks, on {_host(request.hardware)}.")
    if not unheard:
        compare_words(words, heard, "--fingerprint", "the request")


def _host(hardware: Hardware) -> str:
    told = filter(None, (hardware.model, hardware.serial, hardware.machine_id))
    return ", ".join(told) or "a host that tells nothing of itself"


def _list(arguments: argparse.Namespace, present: Present) -> None:
    with opened(arguments.dir) as registrar:
        ledger = registrar.ledger
    now = moment_of(present.utc_ns)
    roles = {role.name: role for role in ledger.roles}
    for role in roles.values():
        print(f"{role.name:32} {'':16} {_standing(role, now)}")
    for node in sorted(ledger.known().values(), key=lambda one: one.name):
        print(f"{node.name:32} {node.keyid} {_standing(node, now)}")


def _standing(one: Role | Enrolled, now: datetime) -> str:
    if one.revoked:
        return f"revoked {one.revoked:%Y-%m-%d}"
    ended = "ended" if one.until < now else "until"
    return f"{ended} {one.until:%Y-%m-%d}"


def _revoke(arguments: argparse.Namespace, present: Present) -> None:
    with opened(arguments.dir) as registrar:
        registrar.revoke(arguments.name, registrar.dated(present))
    folder = arguments.dir
    print(f"{arguments.name} is revoked: copy {folder}/ca.crl to the broker and restart it.")
    if arguments.name in ROLES:
        files = f"{folder}/{arguments.name}.crt and .key"
        print(f"{files} are its new certificate and key: take them where it runs.")
    else:
        print(f"The locator learns it from {folder}/nodes.json, at its next start.")


def _show(arguments: argparse.Namespace, present: Present) -> None:
    with opened(arguments.dir) as registrar:
        name = getattr(arguments, "name", None)
        if name is None:
            print(f"registrar of {registrar.ledger.broker_url} in {arguments.dir}")
            print(f"words of its key, which nodes pin: {registrar.words}")
            return
        history = [node for node in registrar.ledger.nodes if node.name == name]
    if not history:
        raise EnrolmentError(f"{name}: no such node; `registrar list` names them")
    now = moment_of(present.utc_ns)
    for node in history:
        print(f"{node.name} enrolled {node.issued:%Y-%m-%d %H:%M} UTC, {_standing(node, now)}")
        print(f"  key       {node.keyid}")
        print(f"  serial    {node.serial}")
        print(f"  at        {node.wgs84} within {node.sigma_m:g} m")
        print(f"  host      {_host(node.hardware)}")
        print(f"  software  {node.software}")
