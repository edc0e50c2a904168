"""Who else has a serial line open: two programs on one line each get half of the bytes.

By what /proc shows, which may be little: a process of another user is not seen without the right.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_CONSOLES = ("getty", "agetty", "login")


def held_by(device: str, proc: Path = _PROC) -> str:
    """A phrase for who holds `device` beside this process: a program, a console; else empty."""
    path = os.path.realpath(device)
    name = _holder(path, proc)
    if name in _CONSOLES or _is_console(path, proc):
        return "serial line is held by a console"
    if name == "gpsd":
        return "serial line is held by gpsd"
    return "serial line is held by another program" if name else ""


def _holder(path: str, proc: Path) -> str:
    own = str(os.getpid())
    for process in _processes(proc):
        if process.name != own and any(held == path for held in _open_files(process)):
            try:
                return (process / "comm").read_text("utf-8").strip() or "?"
            except OSError:
                return "?"
    return ""


def _processes(proc: Path) -> Iterator[Path]:
    try:
        yield from (one for one in proc.iterdir() if one.name.isdecimal())
    except OSError:
        return


def _open_files(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return
    for one in descriptors:
        with suppress(OSError):
            yield str(one.readlink())


def _is_console(path: str, proc: Path) -> bool:
    """Whether the kernel itself writes its messages there (`console=` on its command line)."""
    try:
        words = (proc / "cmdline").read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return False
    names = [word.removeprefix("console=").partition(",")[0] for word in words]
    links = {os.path.realpath(f"/dev/{name}") for name in names if name and "/" not in name}
    return any(word.startswith("console=") for word in words) and path in links
