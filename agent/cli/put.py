"""Puts a measured line into the technician's settings file; every other line stays as it is."""

import re
from pathlib import Path

from agent import durable
from agent.errors import SettingsError
from agent.settings import parse


def tell_line(path: Path, line: str, *, write: bool) -> None:
    """Put a measured `line` where it belongs, or say where that is. Raises SettingsError."""
    if not write:
        print(f"under [audio] in {path}: {line}")
        return
    put_line(path, line)
    print(f"wrote {line} to {path}: restart the agent")


def put_line(path: Path, line: str) -> None:
    """Replace or add the key of `line` in [audio]. Raises SettingsError; the file is then whole."""
    text, key = path.read_text("utf-8"), re.escape(line.partition(" ")[0])
    for found, put in (
        (rf"(?m)^([ \t]*)(?:# )?(audio\.)?{key} *=.*$", rf"\1\g<2>{line}"),
        (r"(?m)^([ \t]*)\[audio\][ \t]*$", rf"\g<0>\n\1{line}"),
        (r"(?m)^([ \t]*)audio\.", rf"\1audio.{line}\n\g<0>"),
    ):
        text, count = re.subn(found, put, text, count=1)
        if count:
            break
    else:
        text += f"\n[audio]\n{line}\n"
    parse(text, str(path))
    try:
        durable.replace(path, text.encode(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be written: {error.strerror}"]) from None
