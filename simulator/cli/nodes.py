"""`earshot-sim nodes`: how the nodes are, as the locator last said; for people and for cron.

Exit code 0 where no node has an alarm, 1 where one has, 3 where nothing is known, or nothing
recent: a locator that died says nothing, and silence is no good news.
"""

import argparse
import json
import secrets
import threading
import time
from contextlib import closing

import msgspec
from rich.table import Table

from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.units import parse_rfc3339_ns
from agent.errors import LinkError
from agent.ports import Connected, Lost, Message
from simulator.centre.locator.watch import REFRESH_NS, CellReport, NodeReport
from simulator.centre.stated_clock import Present
from simulator.cli.arguments import tls_files
from simulator.cli.present import here, tell_unvouched
from simulator.cli.screen import printed

REPORTS = "earshot/v1/+/+/nodes"
OLD_NS = 3 * REFRESH_NS
UNKNOWN = 3
_QUIET_S = 0.5


def command(arguments: argparse.Namespace) -> int:
    """Print a table, one row a node, the worst first. Raises LinkError."""
    options = MqttOptions(
        url=arguments.broker,
        client_id=f"earshot-nodes-{secrets.token_hex(4)}",
        subscriptions=(REPORTS,),
        protocol=arguments.protocol,
        **tls_files(arguments),
    )
    reports = _reports(options, arguments.wait_s)
    present = here()
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(reports), indent=2))
    elif reports:
        printed(table(reports, present))
    if not reports:
        print("no locator has told of any node: is `earshot-sim locate` running?")
    else:
        tell_unvouched(present, "the age of reports is by it")
    return exit_code(reports, present)


def exit_code(reports: list[CellReport], present: Present) -> int:
    """What the reports amount to now."""
    if any(node.alarms for report in reports for node in report.nodes):
        return 1
    if not reports or any(is_old(report, present) for report in reports):
        return UNKNOWN
    return 0


def is_old(report: CellReport, present: Present) -> bool:
    """Whether its locator should have said it anew since. One from the future is by a clock that is
    not ours: how old it is nobody knows."""
    return abs(present.utc_ns - parse_rfc3339_ns(report.at)) - (present.bound_ns or 0) > OLD_NS


def table(reports: list[CellReport], present: Present) -> Table:
    """One row a node: those with an alarm first."""
    shown = Table("node", "health", "alarms", "faults", "last heard", box=None)
    rows = [(report, node) for report in reports for node in report.nodes]
    for report, node in sorted(rows, key=lambda row: (not row[1].alarms, row[1].node)):
        shown.add_row(*_cells(node, is_known=not is_old(report, present)))
    return shown


def _cells(node: NodeReport, *, is_known: bool) -> tuple[str, ...]:
    alarms = "; ".join(f"{one.kind} since {one.since[:16]}Z" for one in node.alarms)
    faults = ", ".join(f"{one.fault} ({one.part})" for one in node.findings)
    heard = f"{node.heard_at[:16]}Z" if node.heard_at else "never"
    health = node.health if is_known else "unknown (locator silent)"
    return "/".join(node.node.split(":")[2:]), health, alarms or "-", faults or "-", heard


def _reports(options: MqttOptions, wait_s: float) -> list[CellReport]:
    """The retained report of each cell; waits until no more come."""
    news, found = threading.Event(), dict[str, CellReport]()
    with closing(MqttLink(options, wakeup=news.set)) as link:
        link.connect()
        end_s, is_up = time.monotonic() + wait_s, False
        while (left_s := end_s - time.monotonic()) > 0:
            news.wait(min(left_s, _QUIET_S) if found else left_s)
            is_quiet = not news.is_set()
            news.clear()
            for event in link.poll():
                is_up = is_up or isinstance(event, Connected)
                if isinstance(event, Lost):
                    raise LinkError(f"{options.url}: {event.reason}")
                if isinstance(event, Message) and (report := _report(event.payload)):
                    found[event.topic] = report
            if found and is_quiet:
                break
    if not is_up:
        raise LinkError(f"{options.url}: no answer within {wait_s:g} s: is it an MQTT broker?")
    return [found[topic] for topic in sorted(found)]


def _report(payload: bytes) -> CellReport | None:
    """What a locator said, if it is that; its time must be one."""
    try:
        report = msgspec.json.decode(payload, type=CellReport)
        parse_rfc3339_ns(report.at)
    except (ValueError, msgspec.MsgspecError):
        return None
    return report
