"""From sound to incident with every part real: the promises that the whole thing makes."""

import base64
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from agent.adapters.keyfile import Ed25519FileSigner
from agent.core.records.envelope import open_envelope, pae
from agent.core.records.kinds import PAYLOAD_TYPE
from simulator.centre import contract
from simulator.centre.locator.store import EventStore
from simulator.grid import grid
from simulator.grid.fleet import VirtualNode, registry_of
from simulator.grid.grid import STORE_NAME, Grid
from tests.support.links import KINDS, PATIENCE_S, world_of
from tests.support.runs import SEED, HurriedPace, held, plans_of

REAL = [kind for kind in KINDS if kind != "virtual"]
VERIFY = "pkeyutl -verify -pubin -inkey key.pem -rawin -in pae -sigfile sig"
SHOT_ENU_M = (120.0, 165.0)


@pytest.fixture(scope="module")
def reference():
    """The virtual run that all others must repeat to the byte."""
    return grid.run(
        plans_of(), seed=SEED, mode="virtual", broker=None, directory=None, progress=lambda _: None
    )


def located(incidents):
    return [one for one in incidents if one.status == "located"]


@pytest.mark.parametrize("kind", REAL)
def test_the_link_leaves_no_trace_in_what_is_signed(kind, reference):
    """Over a real broker, nodes sign the same bytes as over the virtual one, and all arrive."""
    with world_of(kind):
        pass  # skips where this broker is not installed
    result = grid.run(
        plans_of(), seed=SEED, mode="fast", broker=kind, directory=None, progress=lambda _: None
    )
    assert result.chains == reference.chains
    assert result.chain_faults == []
    assert result.records_verified == result.records_published == reference.records_published
    assert result.incidents == reference.incidents
    (incident,) = located(result.incidents)
    assert math.dist(incident.enu_m[:2], SHOT_ENU_M) < 2.0


class Trouble:
    """Progress of a run, and what is done to it: each act once, when so many records are made."""

    def __init__(self, **acts):
        self.acts = sorted((int(name.removeprefix("at_")), act) for name, act in acts.items())

    def __call__(self, now):
        while self.acts and now.records >= self.acts[0][0]:
            self.acts.pop(0)[1]()


def finished(run):
    """The one-shot scenario, run to its end; the grid is left open."""
    run.await_locator()
    run.run_batch(plans_of())
    run.finish()


def assert_whole(run, reference):
    """Nothing lost, nothing twice, and the same belief as without any trouble."""
    assert run.store.chain_faults() == []
    assert run.records == reference.records_published
    assert len(held(run)) == len(set(held(run))) == run.records
    digests = {source: grid.export_digest(run.store, source) for source in run.registry.stations}
    assert digests == reference.chains
    assert run.service.incidents == reference.incidents
    assert run.service.arrivals == reference.arrivals


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_killed_under_way_loses_nothing(kind, reference, tmp_path):
    """SIGKILL while records are in flight, and again before the end."""
    with world_of(kind) as world:
        kill, restart = world.broker.kill, world.broker.restart
        trouble = Trouble(at_7=kill, at_12=restart, at_18=kill, at_24=restart)
        run = Grid(plans_of(), SEED, tmp_path, world.link, HurriedPace(), trouble)
        with closing(run):
            finished(run)
            assert trouble.acts == []
            assert run.service.trouble
            assert_whole(run, reference)


@pytest.mark.parametrize("kind", KINDS)
def test_a_locator_dropped_under_way_loses_nothing(kind, reference, tmp_path):
    """It lets go of link and store without a word, three times, and begins again from its file."""
    with world_of(kind) as world:

        def drop():
            run.drop_locator()
            run.open_locator()

        trouble = Trouble(at_6=drop, at_14=drop, at_20=drop)
        run = Grid(plans_of(), SEED, tmp_path, world.link, HurriedPace(), trouble)
        with closing(run):
            finished(run)
            assert trouble.acts == []
            assert_whole(run, reference)


class Locator:
    """`earshot-sim locate` as a process of its own, with its files in `home`."""

    def __init__(self, home: Path, url: str, registry) -> None:
        rows = [
            {
                "site": station.site,
                "cell": station.cell,
                "node": station.node,
                "key": station.key.public_bytes(
                    Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
                ).decode(),
                "position": {"enu_m": station.enu_m},
                "sigma_m": station.sigma_m,
            }
            for station in registry.stations.values()
        ]
        (home / "registry.json").write_text(json.dumps(rows))
        self.signer = Ed25519FileSigner.create(home / "locator.pem")
        self.store = home / STORE_NAME
        words = ["locate", "--broker", url, "--registry", home / "registry.json"]
        words += ["--store", self.store, "--key", home / "locator.pem"]
        self._command = [sys.executable, "-m", "simulator.cli.main", *map(str, words)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.mark.parametrize("kind", REAL)
def test_a_locator_killed_as_a_process_loses_nothing(kind, reference, tmp_path):
    """kill -9 while records come in, and a fresh process on the same store: all is held once."""
    registry, pace = registry_of(plans_of(), SEED), HurriedPace()
    with world_of(kind) as world, ExitStack() as stack:
        locator = Locator(tmp_path, world.broker.url, registry)
        stack.callback(locator.kill)
        nodes = [
            stack.enter_context(
                closing(VirtualNode(plan, SEED, tmp_path, world.link, locator.signer))
            )
            for plan in plans_of()
        ]

        def deliver_until(done, what):
            give_up_s = time.monotonic() + PATIENCE_S
            while not done():
                assert time.monotonic() < give_up_s, what
                now_ns = pace.after_rest()
                for node in nodes:
                    node.deliver(now_ns)

        def hear(slices):
            for node in nodes:
                for _ in range(slices):
                    node.hear(pace.slice_ns)

        locator.start()
        hear(30)
        made = sum(node.records for node in nodes)
        deliver_until(lambda: sum(node.backlog for node in nodes) < made, "a first receipt")
        locator.kill()
        hear(1000)
        give_up_s = time.monotonic() + 0.3
        deliver_until(lambda: time.monotonic() > give_up_s, "time to pass")
        locator.start()
        deliver_until(lambda: all(node.is_delivered for node in nodes), "all receipts")
        locator.kill()
    store = EventStore(locator.store, registry.keys, locator.signer)
    with closing(store):
        assert store.chain_faults() == []
        digests = {source: grid.export_digest(store, source) for source in registry.stations}
        assert digests == reference.chains


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The envelopes of a virtual run by source, and the keys that open them."""
    folder = tmp_path_factory.mktemp("run")
    result = grid.run(
        plans_of(),
        seed=SEED,
        mode="virtual",
        broker=None,
        directory=folder,
        progress=lambda _: None,
    )
    keys = {source: station.key for source, station in result.stations.items()}
    with closing(
        EventStore(folder / STORE_NAME, keys, Ed25519FileSigner.from_seed(bytes(32)))
    ) as s:
        return {source: list(s.envelopes(source)) for source in keys}, keys


def test_every_record_of_a_run_fits_its_schema(export):
    """Each envelope and each body within it, by the published JSON Schemas."""
    envelopes, keys = export
    schemas = contract.schemas()
    validators = {name: Draft202012Validator(schema) for name, schema in schemas.items()}
    kinds = set()
    for source, lines in envelopes.items():
        for raw in lines:
            validators["envelope"].validate(json.loads(raw))
            keyid = json.loads(raw)["signatures"][0]["keyid"]
            body = json.loads(open_envelope(raw, {keyid: keys[source]}).payload)
            validators[body["data"]["kind"]].validate(body)
            kinds.add(body["data"]["kind"])
    assert kinds >= {"start", "timebase", "impulse", "stop"}


@pytest.mark.system
def test_openssl_agrees_on_the_signatures(export):
    """A stranger with OpenSSL and the node's key comes to the same verdict."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    envelopes, keys = export
    for source, lines in envelopes.items():
        fields = json.loads(lines[-1])
        payload = base64.b64decode(fields["payload"])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pem = keys[source].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (folder / "key.pem").write_bytes(pem)
            (folder / "sig").write_bytes(base64.b64decode(fields["signatures"][0]["sig"]))
            for message, verdict in ((payload, 0), (payload + b" ", 1)):
                (folder / "pae").write_bytes(pae(PAYLOAD_TYPE, message))
                told = subprocess.run(
                    [openssl, *VERIFY.split()],
                    cwd=folder,
                    capture_output=True,
                    check=False,
                )
                assert told.returncode == verdict, told
