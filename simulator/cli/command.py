"""`earshot-sim command`: sign an operator's command, bring it to a node, tell what came of it.

Exit code 0 when the node obeyed, 1 when it did not or nothing was heard, 2 for a mistake. With
--out an operator signs where no network is; whoever has --envelope then needs no operator's key.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing

from msgspec.structs import replace

from agent.adapters.filing import read_file, write_new_file
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records.envelope import MAX_ENVELOPE_BYTES
from agent.core.trust import Command
from agent.core.trust.commands import seal_command
from agent.core.units import rfc3339
from agent.errors import LinkError
from simulator.centre.locator import registry
from simulator.centre.locator.registry import Station
from simulator.centre.operator.command_client import Answer, Courier, subscriptions
from simulator.centre.operator.node_keys import Voice, keep, lines_of
from simulator.centre.operator.orders import (
    MAX_LIFE_S,
    OrderError,
    changes_of,
    make,
    read,
    station_named,
)
from simulator.centre.stated_clock import Present, dated
from simulator.cli.arguments import tls_files
from simulator.cli.present import here, tell_unvouched

_LIFE_S = 60
_STEP_S = 0.1
# The link speaks to a technician at a node; who gives orders has options and a registrar.
_WORDS = (
    ("broker.certificate_key", "--certificate-key"),
    ("broker.certificate", "--certificate"),
    ("broker.ca", "--ca"),
    ("broker.url", "--broker"),
    ("enrol this node again", "the registrar makes operator.crt anew"),
    ("another client has this node's name: is a second node set up with the same node.id?",
     "another took our place: does somebody else give orders with this certificate?"),
    ("that no other has our node.id", "that nobody else gives orders with this certificate"),
    ("name this node in the broker's access list (ACL)", "is it the operator's certificate?"),
    ("this node's certificate", "our certificate"),
    ("this node", "us"),
)  # fmt: skip


def command(arguments: argparse.Namespace) -> int:
    """Make or take a command; write it, or send it and wait."""
    known = registry.load(arguments.registry)
    station = station_named(arguments.node, known, str(arguments.registry))
    present, made = here(), _given if arguments.envelope else _made
    order, envelope = made(arguments, station, present)
    code = 0
    if arguments.dry_run:
        print(envelope.decode())
    elif arguments.out:
        write_new_file(arguments.out, envelope + b"\n")
        print(f"{arguments.out}: {order.verb} for {arguments.node}, to be sent {_until(order)}.")
    else:
        code = _send(arguments, station, order, envelope)
    if not arguments.envelope:
        tell_unvouched(present, "the command is dated by it")
    return code


def _made(
    arguments: argparse.Namespace, station: Station, present: Present
) -> tuple[Command, bytes]:
    if not arguments.verb:
        raise OrderError(f"what is {arguments.node} to do? Name a verb, or a file with --envelope")
    if not arguments.key:
        raise OrderError("--key FILE is missing: the operator's private key, which signs commands")
    is_written = arguments.dry_run or arguments.out
    life_s = arguments.expires or (MAX_LIFE_S if is_written else _LIFE_S)
    changes = changes_of(arguments.changes)
    order = make(station, arguments.verb, changes, dated(present), life_s)
    return order, seal_command(order, Ed25519FileSigner.load(arguments.key))


def _given(
    arguments: argparse.Namespace, station: Station, present: Present
) -> tuple[Command, bytes]:
    if arguments.verb or arguments.expires:
        raise OrderError(f"{arguments.envelope} says all of the command: name only node and broker")
    envelope = read_file(arguments.envelope, MAX_ENVELOPE_BYTES).strip()
    utc_ns = None if present.bound_ns is None else present.utc_ns
    return read(envelope, station, str(arguments.envelope), utc_ns), envelope


def _send(arguments: argparse.Namespace, station: Station, order: Command, envelope: bytes) -> int:
    voice = Voice(station.source, station.key)
    voice.follow_all(lines_of(arguments.handovers))
    before, began_s, wake = voice.keyid, time.monotonic(), threading.Event()
    with closing(MqttLink(_options(arguments, order), wakeup=wake.set)) as link:
        courier = Courier(link, order, envelope, voice, _addressed(arguments, order))
        try:
            _wait(link, courier, wake, began_s + arguments.timeout)
        except LinkError as error:
            raise LinkError(f"{arguments.broker}: {_for_operators(str(error))}") from None
    waited_s = time.monotonic() - began_s
    show = _as_json if arguments.json else _as_text
    show(arguments, order, courier, waited_s, before)
    if courier.changes:
        keep(arguments.handovers, courier.changes)
    return 0 if courier.answer and courier.answer.reply.outcome == "done" else 1


def _addressed(arguments: argparse.Namespace, order: Command) -> Callable[[str], bytes] | None:
    """What makes the order for one run of the node; None where another has signed it already."""
    if arguments.envelope:
        return None
    operator = Ed25519FileSigner.load(arguments.key)
    return lambda boot: seal_command(replace(order, boot=boot), operator)


def _options(arguments: argparse.Namespace, order: Command) -> MqttOptions:
    if not arguments.broker:
        raise OrderError("--broker URL is missing: where the node's messages go")
    return MqttOptions(
        url=arguments.broker,
        client_id=f"earshot-operator-{order.id}",
        subscriptions=subscriptions(order),
        protocol=arguments.protocol,
        **tls_files(arguments),
    )


def _wait(link: MqttLink, courier: Courier, wake: threading.Event, give_up_s: float) -> None:
    """Step until the reply is there or the time is over. Raises LinkError."""
    link.connect()
    while not courier.is_over and time.monotonic() < give_up_s:
        courier.step(time.monotonic_ns())
        if not courier.is_over:
            wake.wait(_STEP_S)
            wake.clear()
    if not courier.is_up:
        raise LinkError("no answer: is it an MQTT broker?")


def _as_text(
    arguments: argparse.Namespace, order: Command, courier: Courier, waited_s: float, before: str
) -> None:
    node, answer = arguments.node, courier.answer
    if answer is None:
        within = "" if courier.is_over else f" within {arguments.timeout:g} s"
        told = f"no reply from {node}{within}: {_silence(courier)}"
    elif answer.reply.outcome == "done":
        told = f"{node} obeyed {order.verb} ({waited_s:.1f} s){_effect(order, answer, before)}"
    else:
        failed = "refused" if answer.reply.outcome == "refused" else "could not do"
        told = f"{node} {failed} {order.verb}: {answer.reply.reason}"
    print("".join(letter if letter.isprintable() else "?" for letter in told))


def _as_json(
    arguments: argparse.Namespace, order: Command, courier: Courier, waited_s: float, before: str
) -> None:
    answer = courier.answer
    told = {
        "id": order.id,
        "node": arguments.node,
        "verb": order.verb,
        "outcome": answer.reply.outcome if answer else None,
        "reason": answer.reply.reason if answer else _silence(courier),
        "keyid": answer.keyid if answer else None,
        "keyid_before": before,
        "waited_s": round(waited_s, 3),
    }
    print(json.dumps(told))


def _silence(courier: Courier) -> str:
    return _for_operators(courier.silence())


def _effect(order: Command, answer: Answer, before: str) -> str:
    match order.verb:
        case "set-config":
            settings = ", ".join(f"{name} = {value}" for name, value in order.changes.items())
            proof = "once it has heard, stamped and been receipted"
            return f": it restarts to try {settings}, and keeps that {proof}"
        case "report-now":
            return ": the report is a heartbeat record in its chain"
        case "rotate-key" if answer.keyid == before:
            return f": but key {before} signs until its disk can keep the change"
        case "rotate-key":
            return f": key {answer.keyid} signs from now on"
        case _:
            return ""


def _until(order: Command) -> str:
    return f"before {rfc3339(int(order.expires_utc_ns))[11:19]} UTC"


def _for_operators(text: str) -> str:
    for ours, theirs in _WORDS:
        text = text.replace(ours, theirs)
    return text
