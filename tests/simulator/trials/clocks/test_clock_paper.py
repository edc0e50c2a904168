"""docs/clock-worlds.md is true: each key with unit, range and default, and its example runs."""

import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta

from simulator.trials.clocks import drawn, nature, witness
from simulator.trials.clocks import scenario as scenarios

PAPER = (Path(__file__).parents[4] / "docs" / "clock-worlds.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.*?) \| (.*?) \| (.+) \|$", PAPER, re.MULTILINE)


Row = tuple[str, str, str]


def rows_of(struct: type[msgspec.Struct], prefix: str) -> Iterator[Row]:
    """Key, range and default of each field that is not a table of its own."""
    for field in msgspec.structs.fields(struct):
        if not (isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)):
            default = "required" if field.required else _shown(field.default)
            yield prefix + field.name, _range(field.type), default


def _range(wanted: Any) -> str:
    if wanted is bool:
        return "true, false"
    if wanted == drawn.Drawn:
        return "drawn"
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        return ", ".join(filter(None, map(_bounds, arguments[1:]))) or _range(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list of {_range(arguments[0])}".removesuffix(" of ")
    if origin in (UnionType, Union):
        if drawn.LawNotNegative in arguments:
            return "drawn, ≥ 0"
        if drawn.Law in arguments:
            return "drawn"
        return _range(arguments[0])
    return ""


def _bounds(meta: Meta) -> str:
    named = ((meta.ge, "≥ {:.10g}"), (meta.gt, "> {:g}"), (meta.le, "≤ {:.10g}"))
    told = [text.format(bound) for bound, text in named if bound is not None]
    return ", ".join([*told, *([f"`{meta.pattern}`"] if meta.pattern else [])])


def _shown(default: Any) -> str:
    if default is None:
        return "absent"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float | int):
        return f"{default:.10g}"
    return str(msgspec.to_builtins(list(default) if isinstance(default, tuple) else default))


def rows_of_file(file: type[msgspec.Struct], spell: type[msgspec.Struct]) -> Iterator[Row]:
    """All keys of a file: its own, those of its lists, those of its tables."""
    yield from rows_of(file, "")
    yield from rows_of(spell, "")
    for field in msgspec.structs.fields(file):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from rows_of(field.type, f"{field.name}.")


def test_the_paper_names_every_key_with_its_range_and_default() -> None:
    """docs/clock-worlds.md is the structs, key by key, with a unit and a meaning for each."""
    wanted = [
        *rows_of_file(nature.ClockWorld, nature.Happening),
        *rows_of_file(scenarios.ClockScenario, scenarios.Spell),
    ]
    assert [(key, bounds, default) for key, _, bounds, default, _ in ROWS] == wanted


def test_the_papers_example_is_a_world() -> None:
    """What stands in docs/clock-worlds.md can be copied and run."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAPER, re.DOTALL)
    world = nature.of_table(tomllib.loads(example), "example.toml")
    assert len(witness.run(world, 1).at_s) > 500
