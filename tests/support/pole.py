"""A node on its pole, as real processes: its directory, its daemon, and who listens to it."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from agent.adapters.keyfile import load_public_key_file
from agent.adapters.mqtt import MqttLink, MqttOptions
from agent.core.records import Body
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import parse
from agent.ports import Connected, Message
from tests.support.sound import add_blast, as_int16

RATE_HZ = 16_000


def earshot(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Pole:
    """One node's directory: key, settings, recording and store.

    The recording is noise, with a blast every `blast_every_s`; none where that is 0. `evidence`
    is the setting of that name; a file of the directory where it is empty.
    """

    home: Path
    url: str
    seconds: float = 1.0
    blast_every_s: float = 0.0
    evidence: str = ""
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.home / "node.toml"
        self.public = self.home / "node.pub.pem"
        self.evidence = self.evidence or str(self.home / "node.pem")
        self.public.write_text(earshot("key", "new", self.evidence).stdout)
        noise = np.random.default_rng(7).normal(0, 300, round(self.seconds * RATE_HZ))
        sound = noise / 32_768
        for onset in self.blasts:
            add_blast(sound, onset, 0.4, rate_hz=RATE_HZ)
        soundfile.write(self.home / "street.wav", as_int16(sound), RATE_HZ)
        self.config.write_text(
            f"""
            node = {{ site = "s", cell = "c", id = "n1" }}
            audio.source = "file:{self.home / "street.wav"}"
            time.source = "sim"
            broker.url = "{self.url}"
            store.directory = "{self.home / "store"}"
            [keys]
            evidence = "{self.evidence}"
            locator_public = ["{self.public}"]
            """
        )

    @property
    def blasts(self) -> list[int]:
        """The samples where a blast begins: after the gate has settled, and not at the end."""
        every = round(self.blast_every_s * RATE_HZ)
        first, last = round(1.2 * RATE_HZ), round((self.seconds - 0.5) * RATE_HZ)
        return list(range(first, last, every)) if every else []

    def start(self, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The daemon, once it has said that it listens."""
        daemon = subprocess.Popen(
            [sys.executable, "-m", "agent.cli.main", "run", "--config", str(self.config)],
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert daemon.stderr is not None
        told = []
        for line in daemon.stderr:
            told.append(line)
            if "node n1 listens to " in line:
                return daemon
        daemon.wait()
        raise AssertionError("".join(told))


class Listener:
    """Everyone's records at the broker, verified and parsed; `tls` as in MqttOptions."""

    def __init__(self, url: str, **tls: Path) -> None:
        options = MqttOptions(url=url, client_id="listener", subscriptions=("earshot/v1/#",), **tls)
        self.link = MqttLink(options)
        self.heard: dict[int, Body] = {}
        self.digests: dict[int, str] = {}
        self.link.connect()
        while Connected() not in self.link.poll():
            time.sleep(0.01)

    def bodies(self, public: Path, until: type, times: int = 1) -> list[Body]:
        """All records so far, none missing, once `times` of them are an `until`."""
        key = load_public_key_file(public)
        deadline_s = time.monotonic() + 30
        while sum(isinstance(body.data, until) for body in self.heard.values()) < times or max(
            self.heard
        ) > len(self.heard):
            assert time.monotonic() < deadline_s, f"no {until.__name__} came"
            for event in self.link.poll():
                if isinstance(event, Message) and "/event/" in event.topic:
                    opened = open_envelope(event.payload, {key_id(key): key})
                    body = parse(opened.payload, Body)
                    assert self.digests.setdefault(body.seq, opened.digest) == opened.digest
                    self.heard[body.seq] = body
            time.sleep(0.01)
        return [self.heard[seq] for seq in sorted(self.heard)]
