"""A person at a terminal: what a command shows there, and what is typed."""

import os
import pty
import subprocess
import sys
from contextlib import suppress


def at_terminal(module: str, *words: object, types: str = "") -> tuple[int, str]:
    """Exit code and all that was seen, with `types` lying in the keyboard's buffer."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, types.encode())
    seen = b""
    with suppress(OSError):  # the other end is closed: the command has ended
        while part := os.read(ours, 4096):
            seen += part
    os.close(ours)
    return process.wait(60), seen.decode().replace("\r\n", "\n")
