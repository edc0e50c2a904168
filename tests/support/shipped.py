"""A machine set up as the README says: a node, its locator, and the broker between them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.adapters.keyfile import load_public_key_file
from agent.core.records import Body
from agent.core.records.envelope import key_id, open_envelope
from agent.core.records.kinds import Receipt, parse
from agent.core.records.receipts import open_word
from tests.support import debian
from tests.support.container import Container
from tests.support.sound import add_blast, as_int16

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
NODE_STEPS, LOCATOR_STEPS = re.findall(
    r"```sh\n(.*?)```",
    README.partition("## Install for good\n")[2].split("\n## ")[0],
    re.DOTALL,
)
EARSHOT = "/opt/earshot/.venv/bin/earshot"
RATE_HZ, SOUND_S, BLAST_EVERY_S = 16_000, 300, 5
SETTINGS = """
node = { site = "s", cell = "c", id = "n1" }
audio.source = "file:/var/lib/earshot/street.wav"
time = { source = "system", require_sync = false }
broker.url = "mqtt://127.0.0.1:1883"
[keys]
evidence = "/var/lib/earshot/evidence.pem"
locator_public = ["/etc/earshot/locator.pub.pem"]
"""


class Town:
    """`machine` has the wheels in /media and Earshot's own in /srv; nothing is installed in it."""

    def __init__(self, machine: Container) -> None:
        self.machine = machine
        self._bring("earshot.toml", SETTINGS)
        self._bring("locator.env", "BROKER=mqtt://127.0.0.1:1883\nTLS=\n")
        for file in [*(ROOT / "systemd").iterdir(), *(ROOT / "config/udev").iterdir()]:
            self._bring(file.name, file.read_text("utf-8"))
        self._type("cp /srv/*.whl .")

    def install_node(self) -> None:
        """All but the start, which needs the locator's key; and a street to listen to."""
        self._type(NODE_STEPS.partition("systemctl enable")[0])
        _street(self.machine.path("/var/lib/earshot/street.wav"))

    def install_locator(self) -> None:
        """It is started, and knows the node."""
        _, _, key = self.machine.path("/root/node.pub.pem").read_text().partition("\n")  # its id
        row = {"site": "s", "cell": "c", "node": "n1", "sigma_m": 1.0, "key": key}
        self._bring("nodes.json", json.dumps([{**row, "position": {"enu_m": [0, 0, 5]}}]))
        self._type(LOCATOR_STEPS)

    def pin_the_locator(self) -> None:
        """What a person carries from one to the other: the locator's public key."""
        key = "/var/lib/earshot-locator/locator.pem"
        self._type(f"{EARSHOT} key show {key} > /etc/earshot/locator.pub.pem")

    def start_node(self) -> None:
        self._type("systemctl enable" + NODE_STEPS.partition("systemctl enable")[2])

    def heard(self, kind: str) -> int:
        """The number of the next record of that kind that passes the broker."""
        raw = self._next_message(f"event/{kind}")
        return parse(self._opened("/root/node.pub.pem", raw), Body).seq

    def receipted(self) -> int:
        """How far the chain is receipted, by the retained receipt."""
        key = load_public_key_file(self.machine.path("/etc/earshot/locator.pub.pem"))
        receipt = open_word(self._next_message("receipt"), {key_id(key): key})
        assert isinstance(receipt, Receipt)
        return receipt.upto_seq

    def said(self, unit: str, text: str) -> None:
        """Wait until the unit says it; a unit that began again in the meantime has failed."""
        began = self.machine.state(unit, "NRestarts")
        self.machine.until(
            lambda: (
                self.machine.state(unit, "NRestarts") != began or text in self.machine.journal(unit)
            ),
            f"{text!r} of {unit}",
            lambda: self.machine.journal(unit),
        )
        assert self.machine.state(unit, "NRestarts") == began, self.machine.journal(unit)

    def _next_message(self, what: str) -> bytes:
        topic = f"earshot/v1/s/c/n1/{what}"
        words = ("mosquitto_sub", "-h", "127.0.0.1", "-t", topic, "-C", "1", "-W", "60", "-F", "%x")
        return bytes.fromhex(self.machine.run(*words).stdout)

    def _opened(self, key_file: str, raw: bytes) -> bytes:
        key = load_public_key_file(self.machine.path(key_file))
        return open_envelope(raw, {key_id(key): key}).payload

    def _bring(self, name: str, text: str) -> None:
        self.machine.path(f"/root/{name}").write_text(text)

    def _type(self, script: str) -> None:
        """As root beside the files; pip finds its wheels in a folder instead of a network."""
        offline = "cd /root; export PIP_NO_INDEX=1 PIP_FIND_LINKS=/media"
        self.machine.run("sh", "-ec", f"{offline}\n{script}")


def _street(path: Path) -> None:
    """Noise, and a shot now and then."""
    sound = np.random.default_rng(7).normal(0, 300, SOUND_S * RATE_HZ) / 32_768
    for second in range(BLAST_EVERY_S, SOUND_S, BLAST_EVERY_S):
        add_blast(sound, second * RATE_HZ, 0.4, rate_hz=RATE_HZ)
    soundfile.write(path, as_int16(sound), RATE_HZ)


def machine_with_wheels(own: Path) -> Container:
    """A Debian with the node's wheel, made in `own`, and others'; skips where none can be had."""
    try:
        root = debian.debian()
        wheels = debian.wheelhouse(root)
        debian.build_wheel(own)
        return Container(root, {"/media": wheels, "/srv": own})
    except (debian.CannotMakeError, OSError) as error:
        pytest.skip(f"no container here: {error}")
