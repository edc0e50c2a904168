"""The papers are true: names exist, commands parse and run, outputs are what is printed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from agent.cli import main as agent_main
from simulator.cli import main as simulator_main
from tests.support.enrolled import Hut
from tests.support.sound import RATE_HZ, add_blast, as_int16, noise

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
PAPERS = {"README.md": README, "ARCHITECTURE.md": ARCHITECTURE}
CODED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(agent|config|simulator|systemd|tests|docs)/[\w./-]*")
WORDS = re.compile(r"\b[a-z]{5}(?:-[a-z]{5}){4}\b")
CHANCE = re.compile(WORDS.pattern + r"|(?<=key )[0-9a-f]{16}|\d{4}-\d\d-\d\d|(?<=asks, on ).*")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def filled_in(block: str) -> str:
    """A block of shell with its variables put where they are used."""
    for name, value in re.findall(r'^([A-Z]+)="([^"]*)"$', block, re.MULTILINE):
        block = block.replace(f"${name}", " ".join(value.split()))
    return block


def defined_names() -> set[str]:
    """Every class, function, constant, field and method of the code."""
    names: set[str] = set()
    for folder in ("agent", "simulator"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    names.add(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
    return names


def names_in(text: str) -> set[str]:
    """What stands in backticks and looks like a name of the code."""
    return {
        part
        for coded in CODED.findall(text)
        if re.fullmatch(r"[A-Za-z_][\w.]*", coded) and not coded.endswith((".md", ".toml", ".html"))
        for part in coded.split(".")
    }


@pytest.mark.parametrize("paper", PAPERS)
def test_every_path_named_exists(paper: str) -> None:
    """A file or folder in backticks is there."""
    for coded in CODED.findall(PAPERS[paper]) + re.findall(r"\]\(([\w./-]+)\)", PAPERS[paper]):
        if PATH.fullmatch(coded):
            assert (ROOT / coded).exists(), coded


def test_every_name_in_the_architecture_exists() -> None:
    """Renaming something without its page fails here, with the name."""
    known = defined_names() | {"py", "Protocol", "service", "windows", "evidence", "associate"}
    places = [path for folder in ("agent", "simulator") for path in (ROOT / folder).rglob("*")]
    known |= {path.stem for path in places if path.suffix == ".py" or path.is_dir()}
    assert names_in(ARCHITECTURE) - known == set()
    assert "SqliteOutbox" in names_in(ARCHITECTURE)


def test_every_make_target_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", " ".join(CODED.findall(README)) + README[:300]))
    assert named
    assert named <= targets


def test_every_command_named_is_understood() -> None:
    """Each `earshot` and `earshot-sim` line parses with the real parsers."""
    lines = [line for line in CODED.findall(README) if re.match("earshot(-sim)? ", line)]
    lines += [
        line.split("#")[0].split(">")[0].removesuffix(" 2")
        for block in blocks(README, "sh")
        for line in filled_in(block).splitlines()
        if line.startswith("earshot")
    ]
    assert len(lines) > 8
    for line in lines:
        program, *words = line.replace("LAT,LON", "40.1,-80.2").split()
        parser = (agent_main if program == "earshot" else simulator_main)._parser()
        assert vars(parser.parse_args(words)), line


def test_the_quickstart_prints_what_the_readme_shows() -> None:
    """Table and verdict, to the last digit; virtual mode signs and locates the same records."""
    shown = blocks(README, "text")[0]
    told = subprocess.run(
        [sys.executable, "-m", "simulator.cli.main", "run", "quickstart", "--mode", "virtual"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert [line.rstrip() for line in told.splitlines()] == shown.splitlines()


@pytest.mark.system
def test_openssl_checks_a_record_as_the_readme_says(tmp_path: Path) -> None:
    """The two blocks of shell, run as they stand on a recording of a shot."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    sound = noise(3.0)
    add_blast(sound, 96_000.4, 0.4)
    soundfile.write(tmp_path / "shot.wav", as_int16(sound), RATE_HZ)
    script = "".join(block for block in blocks(README, "sh")[1:3])
    script = script.replace("earshot-sim ", f"{sys.executable} -m simulator.cli.main ")
    told = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "Signature Verified Successfully" in told.stdout


def test_a_node_is_enrolled_as_the_readme_says(tmp_path: Path) -> None:
    """The four commands, with the words that were really told; all lines but for what chance,
    host and calendar put into them."""
    section = README.partition("## Enrol a node\n")[2]
    shown, heard = blocks(section, "text")[0], iter(blocks(section, "sh")[0].splitlines())
    Hut(tmp_path, url="mqtts://broker.town:8883").config.rename(tmp_path / "n1.toml")
    told, spoken = "", dict[str, str]()
    for line in heard:
        program, *words = line.partition("#")[0].split()
        module = "agent" if program == "earshot" else "simulator"
        told += subprocess.run(
            [sys.executable, "-m", f"{module}.cli.main", *(spoken.get(one, one) for one in words)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        spoken |= dict(zip(WORDS.findall(shown), WORDS.findall(told), strict=False))
    assert CHANCE.sub("*", told) == CHANCE.sub("*", shown)
