"""Finds every fault in a parsed TOML table, where msgspec alone stops at the first."""

import math
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

import msgspec


def faults_of(value: Any, wanted: Any, where: str = "") -> Iterator[str]:
    """One phrase for each place in `value` that does not fit the type `wanted`.

    Structs and tuples of structs are looked into; everything else is left to msgspec, except
    that numbers must be finite.
    """
    bare = get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted
    if _is_struct(bare) and isinstance(value, dict):
        yield from _faults_of_table(value, bare, where)
    elif get_origin(bare) is tuple and _is_struct(get_args(bare)[0]) and isinstance(value, list):
        if not value and wanted is not bare:
            yield f"{where} is empty"
        for index, element in enumerate(value):
            yield from faults_of(element, get_args(bare)[0], f"{where}[{index}]")
    elif not _is_finite(value):
        yield f"{where} is not a finite number"
    else:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            yield f"{where}: {error}"


def unknown(name: str, known: Iterable[str]) -> str:
    """That `name` is unknown, and what may have been meant."""
    choices = list(known)
    close = get_close_matches(name, choices, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(choices)
    return f"{name!r} is unknown, {hint}"


def _faults_of_table(
    table: dict[str, Any], struct: type[msgspec.Struct], where: str
) -> Iterator[str]:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    prefix = f"{where}." if where else ""
    for key in table.keys() - fields:
        yield f"{where or 'key'} {unknown(key, fields)}"
    for name, field in fields.items():
        if name in table:
            yield from faults_of(table[name], field.type, prefix + name)
        elif field.required:
            yield f"{prefix}{name} is missing"


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
