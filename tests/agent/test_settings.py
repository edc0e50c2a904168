"""The settings file: what is accepted, and how faults are told."""

import re
from pathlib import Path

import msgspec
import pytest

from agent import settings
from agent.errors import SettingsError

SAMPLE = Path(__file__).parents[2] / "config" / "earshot.toml"
SMALLEST = """
[node]
site = "a"
cell = "b"
id = "c"
[broker]
url = "mqtts://broker.example:8883"
[keys]
locator_public = ["locator.pem"]
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings.parse(text, "node.toml")
    assert str(caught.value).startswith("node.toml: ")
    assert "\n" not in str(caught.value)
    return caught.value.faults


def code_keys() -> dict[str, msgspec.structs.FieldInfo]:
    return {
        f"{section.name}.{field.name}": field
        for section in msgspec.structs.fields(settings.Settings)
        for field in msgspec.structs.fields(section.type)
    }


def sample_lines() -> dict[str, tuple[str, bool, str]]:
    """Every key of the sample: its comment, whether it is commented out, and its TOML value."""
    found: dict[str, tuple[str, bool, str]] = {}
    section = comment = ""
    for line in SAMPLE.read_text().splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif key := re.fullmatch(r"(# )?(\w+) = (.+)", line):
            found[f"{section}.{key[2]}"] = (comment, bool(key[1]), key[3])
        comment = line.removeprefix("# ")
    return found


def test_the_smallest_file_gets_every_default() -> None:
    """Only what a node cannot guess must be written."""
    loaded = settings.parse(SMALLEST, "node.toml")
    assert loaded.audio == settings.AudioSection()
    assert loaded.store.directory == "/var/lib/earshot"
    assert loaded.keys.locator_public == ("locator.pem",)


def test_every_fault_is_told_at_once() -> None:
    """One look at the message repairs the whole file."""
    text = """
    [node]
    site = "two words"
    cell = "b"
    id = 7
    [audio]
    rate_hz = 8000
    sorce = "file:x.wav"
    [tiem]
    source = "system"
    [broker]
    url = "http://broker"
    """
    told = faults_of(text)
    for part in (
        "node.site = 'two words'",
        "node.id = 7 is wrong",
        "audio.rate_hz = 8000 is wrong: a device's rate in Hz, 12000 to 96000",
        "audio.sorce is unknown: did you mean 'source'?",
        "[tiem] is unknown: did you mean 'time'?",
        "broker.url = 'http://broker' is wrong",
        "keys.locator_public is missing",
    ):
        assert sum(part in fault for fault in told) == 1, part
    assert len(told) == 7


@pytest.mark.parametrize(
    "line",
    [
        "audio.rate_hz = 96001",
        "audio.rate_hz = 48000.5",
        "audio.rate_hz = true",
        "audio.block_samples = 0",
        "audio.full_scale_db_spl = nan",
        "audio.full_scale_db_spl = 195",
        "audio.latency_us = 1_000_000",
        "audio.latency_bound_us = 20_001",
        "hearing.least_score = 1.1",
        "panel.button = 28",
        'audio.source = "file:"',
        'audio.source = "alsa:hw0"',
        "audio.latency_bound_us = 0",
        "time.system_sigma_ms = 0",
        'time.source = "gps"',
        'broker.protocol = "4"',
        'broker.url = "mqtt://user:secret@host"',
        'node.id = "a/b"',
        'node.id = "a\\n"',
        'node.id = ""',
        "keys.locator_public = []",
        'keys.locator_public = [""]',
        'log.level = "loud"',
    ],
)
def test_a_bad_value_is_named_by_its_key(line: str) -> None:
    """A value of a wrong type or out of range is refused under the name section.key."""
    section, key = line.split(" = ")[0].split(".")
    others = [
        other
        for other in SMALLEST.splitlines()
        if "=" in other and not other.startswith(f"{key} =")
    ]
    homes = {"site": "node", "cell": "node", "id": "node", "url": "broker"}
    dotted = [f"{homes.get(other.split(' = ')[0], 'keys')}.{other}" for other in others]
    told = faults_of("\n".join([*dotted, line]))
    assert len(told) == 1
    assert told[0].startswith(f"{section}.{key} = ")


@pytest.mark.parametrize(
    "text", ["audio = 3", "a = = b", "[node]\nid = 1\nid = 2"], ids=["scalar", "syntax", "twice"]
)
def test_text_of_the_wrong_shape_is_one_line(text: str) -> None:
    """Broken TOML and a value where a table belongs are faults like any other."""
    assert faults_of(text)


def test_a_file_that_cannot_be_read_names_itself(tmp_path: Path) -> None:
    """Missing files, directories and binary files are told in one line."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name in ("missing.toml", ".", "binary.toml"):
        with pytest.raises(SettingsError, match=re.escape(str(tmp_path / name))):
            settings.load(tmp_path / name)


@pytest.mark.parametrize("source", ["nmea", "pps-adc"])
def test_a_source_of_time_names_what_it_lacks(source: str) -> None:
    """A receiver or a pulse channel that is needed and not named is one fault with its remedy."""
    (fault,) = faults_of(f'{SMALLEST}[time]\nsource = "{source}"\n')
    assert re.search("needs (time.receiver|audio.pps_channel)", fault)


def test_the_digest_depends_on_the_settings_and_not_on_the_writing() -> None:
    """Order, comments and written-out defaults leave the digest; any other value changes it."""
    plain = settings.parse(SMALLEST, "a").digest()
    written_out = settings.parse(SMALLEST + "# x\n[audio]\nrate_hz = 48_000\n", "b").digest()
    changed = settings.parse(SMALLEST + "[audio]\nrate_hz = 44100\n", "c").digest()
    assert plain == written_out != changed
    assert re.fullmatch("[0-9a-f]{64}", plain)


def test_the_sample_holds_exactly_the_keys_of_the_code() -> None:
    """config/earshot.toml can be trusted to be complete, in order, and to explain each key."""
    lines, keys = sample_lines(), code_keys()
    assert list(lines) == list(keys)
    for name, (comment, commented_out, _) in lines.items():
        assert comment.startswith(settings.describe(keys[name].type)), name
        assert commented_out == (not keys[name].required), name


def test_the_sample_shows_the_defaults_of_the_code() -> None:
    """Uncommenting a line of the sample changes nothing, but for the keys without default."""
    assert settings.load(SAMPLE).node.site == "example"
    lines = sample_lines()
    full_text = "\n".join(f"{name} = {value}" for name, (_, _, value) in lines.items())
    full = settings.parse(full_text, "sample")
    for name, field in code_keys().items():
        section, key = name.split(".")
        if not field.required and field.default is not None:
            assert getattr(getattr(full, section), key) == field.default, name


@pytest.mark.parametrize(
    "url", ["mqtt://127.0.0.1", "mqtt://[::1]:1883", "mqtt://localhost", "mqtts://broker.example"]
)
def test_what_stays_on_this_host_or_is_encrypted_is_taken(url: str) -> None:
    """A broker beside the node needs no TLS, any other one may ask for it."""
    assert settings.parse(SMALLEST.replace("mqtts://broker.example:8883", url), "a").broker.url


@pytest.mark.parametrize("host", ["broker.example", "10.0.0.1", "[fd00::1]", "127.0.0.1.evil.org"])
def test_plain_mqtt_beyond_this_host_is_refused_unless_asked_for_by_name(host: str) -> None:
    """A missing s in the scheme never sends a city's records in clear; who wants that says so."""
    plain = SMALLEST.replace("mqtts://broker.example", f"mqtt://{host}")
    (fault,) = faults_of(plain)
    assert re.search("is not encrypted: write mqtts://.*broker.unencrypted = true", fault)
    assert settings.parse(plain.replace("[keys]", "unencrypted = true\n[keys]"), "a")


def test_a_latency_over_its_bound_is_a_contradiction() -> None:
    """What is called calibrated cannot be more than what was said to be possible."""
    (fault,) = faults_of(SMALLEST + "[audio]\nlatency_us = 3001\n")
    assert fault.startswith("audio.latency_us = 3001 is over audio.latency_bound_us = 3000")
    more = "[audio]\nlatency_us = 3001\nlatency_bound_us = 4000\n"
    assert settings.parse(SMALLEST + more, "a").audio.latency_us == 3001


def test_a_pin_has_one_use() -> None:
    """Two parts of the panel on one pin are told by both names."""
    (fault,) = faults_of(SMALLEST + "[panel]\nclock_led = 17\nbutton = 17\n")
    assert fault.startswith("panel.button = 17 is the pin of panel.clock_led too")
