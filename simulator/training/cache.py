"""Keeps on disk what hearing made of sound, so that a second run of training takes minutes.

What is kept is named by the digest of everything that it follows from: the sound, the draw, and
the code that made it, but for its comments. So nothing kept is ever out of date, and nothing needs
clearing away.
"""

import ast
import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import msgspec

Kept = TypeVar("Kept")

Modules = tuple[str, tuple[str, ...]]

HEARING: Modules = (
    "agent.core.hearing",
    (
        "attack_and_tail",
        "band_envelopes",
        "detector",
        "features",
        "filterbank",
        "picker",
        "pipeline",
        "spectra",
    ),
)
MADE_BY: tuple[Modules, ...] = (
    HEARING,
    ("simulator.scene", ("lead_in", "propagation", "sources")),
    ("simulator.trials.corpus", ("embedding", "listening", "rapidfire")),
)
TAKEN_BY: tuple[Modules, ...] = (*MADE_BY, ("simulator.training", ("recorders", "takes")))


@lru_cache
def code_digest(*modules: Modules) -> str:
    """Of what these modules do, each (package, names): comments, docstrings and layout aside."""
    digest = hashlib.sha256()
    for package, names in modules:
        for name in names:
            source = files(package).joinpath(f"{name}.py").read_text(encoding="utf-8")
            digest.update(what_it_does(source).encode())
    return digest.hexdigest()


def what_it_does(source: str) -> str:
    """The syntax tree of a module as text, without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


class Shelf:
    """Lists of one type in files of `folder`; without a folder everything is made anew."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def kept(
        self, kind: type[Kept], follows_from: tuple[str, ...], make: Callable[[], list[Kept]]
    ) -> list[Kept]:
        """What `make` returns, or returned when it last followed from the same."""
        if self._folder is None:
            return make()
        name = hashlib.sha256("\0".join(follows_from).encode()).hexdigest()
        path = self._folder / name[:2] / name[2:34]
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=list[kind])  # type: ignore[valid-type]
        except (OSError, msgspec.DecodeError):
            made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".half")
        half.write_bytes(msgspec.msgpack.encode(made))
        half.replace(path)
        return made
