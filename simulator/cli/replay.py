"""`earshot-sim replay`: one recording through one virtual node, and the records it makes of it.

The node first hears a minute of the recording's own background, so that clock and gate settle.
Sound goes in as 16-bit samples. The same file, place and start give the same bytes.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
from rich.table import Table

import agent
from agent.adapters.keyfile import Ed25519FileSigner
from agent.adapters.outbox import SqliteOutbox
from agent.app.node import Node, NodeSettings
from agent.core.clock.timebase import ClockSettings
from agent.core.records import Body, Sealer
from agent.core.records.chain import Sealed
from agent.core.records.correction import Correction
from agent.core.records.envelope import load_public_key, open_envelope
from agent.core.records.foreign import Foreign
from agent.core.records.kinds import (
    Data,
    Gap,
    Heartbeat,
    Identity,
    Impulse,
    Thinned,
    TimebaseChange,
    parse,
)
from agent.core.records.position import Position
from agent.core.records.remote_records import KeyChange
from agent.core.records.visit_records import Calibration, Clap
from agent.core.units import NS_PER_S, NS_PER_US, parse_rfc3339_ns
from agent.errors import EarshotError
from simulator.cli.present import here, tell_unvouched
from simulator.cli.screen import printed
from simulator.grid.hardware import Board, Hardware, RecordedAudio, assemble, items
from simulator.scene.lead_in import LEAD_IN_S, Recording, read_recording, with_lead_in
from simulator.scene.randomness import stream
from simulator.trials.livefire.sites import valid_name

_AIR_C = 15.0
_BLOCK_SAMPLES = 1000  # no whole number of milliseconds at any common rate: could hide no USB frame
_LATENCY_BOUND_NS = 500 * NS_PER_US
_ALL = sys.maxsize


class StartError(EarshotError):
    """`--start` is no time."""


def command(arguments: argparse.Namespace) -> int:
    """Print the records, as a table or as envelopes; then the registry row that verifies them."""
    recording = read_recording(arguments.file)
    present = here()
    start_utc_ns = _start_utc_ns(arguments.start) or present.utc_ns
    name = valid_name(arguments.file.stem) or "recording"
    digest = hashlib.sha256(recording.samples.tobytes()).hexdigest()
    signer = Ed25519FileSigner.from_seed(stream(start_utc_ns, "replay key", digest).bytes(32))
    boot = stream(start_utc_ns, "replay boot", digest).bytes(16).hex()
    identity = Identity(site="replay", cell="file", node=name, keyid=signer.keyid, boot=boot)
    hardware = _hardware(recording, start_utc_ns, name)
    records = _records(hardware, Sealer(identity, signer), digest)
    if arguments.json:
        for sealed in records:
            print(sealed.envelope.decode())
    else:
        printed(_table(records, signer))
    if not arguments.start:
        tell_unvouched(present, "the recording begins by it")
    print(f"registry row: {_registry_row(identity, signer, arguments.at)}", file=sys.stderr)
    return 0


def _start_utc_ns(text: str | None) -> int | None:
    try:
        return parse_rfc3339_ns(text) if text else None
    except ValueError as error:
        raise StartError(f"--start {error}: write it as 2026-03-14T21:00:00Z") from None


def _hardware(recording: Recording, start_utc_ns: int, name: str) -> Hardware:
    sound = with_lead_in(recording, stream(0, "replay lead-in", name))
    first_utc_ns = start_utc_ns - LEAD_IN_S * NS_PER_S
    audio = RecordedAudio(sound, recording.rate_hz, first_utc_ns)
    board = Board(block_samples=_BLOCK_SAMPLES)
    return assemble(audio, board, name, seed=0, air_temperature_c=_AIR_C)


def _records(hardware: Hardware, sealer: Sealer, digest: str) -> list[Sealed]:
    """All that the node says of what it hears, oldest first."""
    settings = NodeSettings(
        software=agent.__version__,
        settings_sha256=digest,
        previous_run="new-store",
        clock=ClockSettings(latency_bound_ns=_LATENCY_BOUND_NS),
    )
    with tempfile.TemporaryDirectory(prefix="earshot-replay-") as directory:
        path = Path(directory) / "outbox.sqlite"
        with closing(SqliteOutbox(path, sealer, lambda: digest[:32], durable=False)) as outbox:
            node = Node(settings, hardware.microphone.format, outbox, hardware.vitals)
            for item in items(hardware.microphone, hardware.reference):
                node.step(item)
            node.stop(hardware.clock.monotonic_ns(), "end of sound")
            return sorted(outbox.pending(_ALL, frozenset()), key=lambda sealed: sealed.head.seq)


def _table(records: list[Sealed], signer: Ed25519FileSigner) -> Table:
    keys = {signer.keyid: load_public_key(signer.public_key())}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("seq", justify="right")
    for name in ("time, UTC", "kind", "what it says"):
        table.add_column(name)
    for sealed in records:
        body = parse(open_envelope(sealed.envelope, keys).payload, Body)
        when = "-" if body.time is msgspec.UNSET else str(body.time)
        style = "bold" if isinstance(body.data, Impulse) else None
        table.add_row(str(body.seq), when, sealed.kind, _said(body.data), style=style)
    return table


def _said(data: Data | Foreign) -> str:
    match data:
        case Impulse():
            sigma = "unknown" if data.sigma_total_ns is None else f"{data.sigma_total_ns / 1e3:.0f}"
            features = data.features
            return (
                f"sigma {sigma} us, peak {features.peak_dbfs:.1f} dBFS, "
                f"SNR {features.snr_db:.1f} dB, score {data.verdict.score:.2f}"
            )
        case Heartbeat():
            noise = "unknown" if data.noise_dbfs is None else f"{data.noise_dbfs:.1f} dBFS"
            return f"{data.triggers} triggers, {data.published} published, noise {noise}"
        case TimebaseChange():
            return f"{data.before} -> {data.after}: {data.reason}"
        case Correction():
            return f"stamps of a holdover were off by up to {data.knots[-1].add_ns / 1000:.1f} us"
        case Gap():
            return f"{data.lost_samples} samples lost: {data.reason}"
        case Position():
            return f"{data.event}, sigma {data.sigma_m:g} m over {data.fixes} fixes"
        case KeyChange():
            return f"key {data.keyid} signs from here on"
        case Thinned():
            return f"{data.count} candidates like the street's own, listed with their times"
        case Clap():
            return f"peak {data.peak_dbfs:.1f} dBFS, score {data.score:.2f}: {data.reason}"
        case Calibration():
            return f"full scale is {data.full_scale_db_spl:.1f} dB SPL"
        case Foreign():
            return "of a kind that this version does not know"
        case _:
            return data.reason


def _registry_row(identity: Identity, signer: Ed25519FileSigner, at: tuple[float, float]) -> str:
    """What `earshot-sim locate` needs to know of this node."""
    return json.dumps(
        {
            "site": identity.site,
            "cell": identity.cell,
            "node": identity.node,
            "key": signer.public_pem(),
            "position": {"wgs84": [*at, 0.0]},
            "sigma_m": 5.0,
        }
    )
