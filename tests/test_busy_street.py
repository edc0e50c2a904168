"""A busy street from sound to court: a whole node hears it, the locator keeps what it says, anyone
can check what was not told one by one, and find it."""

import base64
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from agent.app.node import Node, NodeSettings
from agent.cli.main import main
from agent.core.clock.timebase import ClockSettings
from agent.core.records.envelope import load_public_key, open_envelope
from agent.core.records.kinds import Body, Heartbeat, Impulse, Thinned, parse
from agent.core.records.thinned import unpacked
from agent.core.units import NS_PER_S, rfc3339
from simulator.centre.locator.store import EventStore
from simulator.grid.hardware import Board, RecordedAudio, assemble, items
from tests.support.drafts import LOCATOR, identity_of, outbox_of, registry_of, signer_of
from tests.support.sound import RATE_HZ, add_blast, as_int16, hear, noise

START_UTC_NS = 1_773_522_000 * NS_PER_S
STREET_S, EVERY_S, FIRST_S = 112.0, 0.125, 14.0
LOUD_S = 108.06
"""A sound 12 dB above all the others, between two of them."""


def bangs_s() -> np.ndarray:
    """When the street bangs, once the clock is locked: eight times a second, never in time."""
    rng = np.random.default_rng(4)
    even_s = np.arange(FIRST_S, STREET_S - 1.0, EVERY_S)
    return even_s + rng.uniform(-4e-3, 4e-3, len(even_s))


def street() -> np.ndarray:
    """Something that bangs without end, now softer and now louder; and one loud bang."""
    rng = np.random.default_rng(5)
    sound = noise(STREET_S, rms=5e-4)
    for at_s in bangs_s():
        add_blast(sound, at_s * RATE_HZ, 0.06 * 10 ** (rng.uniform(-3.0, 3.0) / 20))
    add_blast(sound, LOUD_S * RATE_HZ, 0.35)
    return as_int16(sound)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Every envelope of the run, as the node stored it."""
    audio = RecordedAudio(street(), RATE_HZ, START_UTC_NS)
    hardware = assemble(audio, Board(host_ppm=7.0), "n1", 1, 8.5)
    settings = NodeSettings("test", "0" * 64, "new-store", ClockSettings(latency_ns=0))
    with closing(outbox_of("n1", tmp_path_factory.mktemp("busy") / "o.db")) as outbox:
        node = Node(settings, hardware.microphone.format, outbox, hardware.vitals)
        for item in items(hardware.microphone, hardware.reference):
            node.step(item)
        node.stop(hardware.clock.monotonic_ns(), "end of sound")
        stored = outbox.pending(5_000, frozenset())
    return [one.envelope for one in sorted(stored, key=lambda one: one.head.seq)]


def bodies(said: list[bytes]) -> list[Body]:
    keys = {signer_of("n1").keyid: load_public_key(signer_of("n1").public_key())}
    return [parse(open_envelope(one, keys).payload, Body) for one in said]


def export(said: list[bytes], directory: Path) -> list[str]:
    """Arguments of `earshot verify` for what was said."""
    records, registry = directory / "records.jsonl", directory / "nodes.json"
    records.write_bytes(b"".join(one + b"\n" for one in said))
    row = {
        "site": "town", "cell": "north", "node": "n1", "sigma_m": 1.0,
        "key": base64.b64encode(signer_of("n1").public_key()).decode(),
        "position": {"enu_m": [0, 0, 5]},
    }  # fmt: skip
    registry.write_text(json.dumps([row]))
    return ["verify", str(records), "--keys", str(registry)]


def test_no_bang_is_lost(said: list[bytes]) -> None:
    """What hearing takes for a candidate is told or listed, once, and no more than 2 ms and mostly
    two sigma from the truth; the first 300 are told, and heartbeats count what was told."""
    told = [one.data for one in bodies(said) if isinstance(one.data, Impulse)]
    summaries = [one.data for one in bodies(said) if isinstance(one.data, Thinned)]
    listed = [
        (int(summary.first_utc_ns or 0) + one.after_ns, one.sigma_ns)
        for summary in summaries
        for one in unpacked(summary.listed)
    ]
    heard = [(int(one.toa_utc_ns or 0), one.sigma_total_ns or 0) for one in told] + listed
    assert len(listed) > 50
    assert len(told) >= 300
    away = []
    candidates = [one.sample / RATE_HZ for one in hear(street()) if one.verdict.accepted]
    assert len(candidates) == len(heard)
    for at_s in (*bangs_s(), LOUD_S):
        if not any(abs(one - at_s) < 2e-3 for one in candidates):
            continue  # hearing refused it
        truth_ns = START_UTC_NS + round(at_s * NS_PER_S)
        near = [one for one in heard if abs(one[0] - truth_ns) < 2_000_000]
        assert len(near) == 1, at_s
        away.append(abs(near[0][0] - truth_ns) / near[0][1])
    assert np.mean(np.array(away) <= 2.0) >= 0.95
    beats = [one.data.published for one in bodies(said) if isinstance(one.data, Heartbeat)]
    assert sum(beats) <= len(told)


def test_what_is_louder_than_the_street_is_told_at_once(said: list[bytes]) -> None:
    """A loud bang amid all that is listed is a record of its own, with all its features."""
    at_ns = START_UTC_NS + round(LOUD_S * NS_PER_S)
    told = [one.data for one in bodies(said) if isinstance(one.data, Impulse)]
    (loud,) = [one for one in told if abs(int(one.toa_utc_ns or 0) - at_ns) < 2_000_000]
    assert loud.features.peak_dbfs > -12.0


def test_the_locator_keeps_lists_like_all_records(said: list[bytes], tmp_path: Path) -> None:
    """Verified, linked, receipted, and the same bytes in its export."""
    with closing(EventStore(tmp_path / "l.db", registry_of("n1"), LOCATOR)) as store:
        for one, body in zip(said, bodies(said), strict=True):
            kind = body.type.split(".")[1]
            store.admit(f"{identity_of('n1').topic}/event/{kind}", one)
        store.commit()
        assert store.chain_faults() == []
        assert list(store.envelopes()) == said
        (receipt,) = store.receipts(rfc3339(START_UTC_NS))
        assert receipt[0].endswith("/receipt")


def test_anyone_can_check_and_find_what_was_not_told(
    said: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`earshot verify` repeats every score and rule, and shows what was heard around a moment that
    somebody asks about: what was only listed too."""
    arguments = export(said, tmp_path)
    told = sum(isinstance(one.data, Impulse) for one in bodies(said))
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"{told} scores repeated" in out
    assert "listed instead of told" in out
    moment = rfc3339(START_UTC_NS + round(LOUD_S * NS_PER_S))
    assert main([*arguments, "--around", moment, "--within", "1"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if ": sigma " in line]
    assert 4 <= len(shown) <= 18
    assert any("only listed" in line for line in shown)
    assert any("only listed" not in line for line in shown)
    assert main([*arguments, "--around", moment, "--within", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["around"]) == len(shown)
    assert main([*arguments, "--around", "2020-01-01T00:00:00Z"]) == 0
    assert "no onset within 10 s of 2020-01-01T00:00:00" in capsys.readouterr().out
