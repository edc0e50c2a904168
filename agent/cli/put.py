"""Puts a measured line into the technician's settings file; every other line stays as it is."""

import re
from pathlib import Path

from agent import durable
from agent.errors import SettingsError
from agent.settings import parse


def put_line(path: Path, line: str) -> None:
    """Replace or add the key of `line` in [audio]. Raises SettingsError; the file is then whole."""
    key = re.escape(line.partition(" ")[0])
    text = path.read_text("utf-8")
    if re.search(rf"(?m)^(# )?{key} = .*$", text):
        text = re.sub(rf"(?m)^(# )?{key} = .*$", line, text, count=1)
    elif re.search(r"(?m)^\[audio\]$", text):
        text = re.sub(r"(?m)^\[audio\]$", f"[audio]\n{line}", text, count=1)
    elif re.search(r"(?m)^audio\.", text):
        text = re.sub(r"(?m)^audio\.", f"audio.{line}\naudio.", text, count=1)
    else:
        text += f"\n[audio]\n{line}\n"
    parse(text, str(path))
    try:
        durable.replace(path, text.encode(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be written: {error.strerror}"]) from None
