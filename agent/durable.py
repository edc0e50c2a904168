"""Files that survive a power cut: content and name are on the disk on return. All raise OSError.

What the files hold, and what to tell a person when the disk fails, is for the adapters.
"""

import os
from pathlib import Path


def write_new(path: Path, content: bytes, mode: int) -> None:
    """A file that was not there, of exactly that mode; FileExistsError if it was."""
    _write(path, content, mode)
    sync_directory(path.parent)


def write_beside(path: Path, content: bytes, mode: int) -> Path:
    """The content for `path` under another name, which is returned: ready to take its place."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    _write(fresh, content, mode)
    return fresh


def replace(path: Path, content: bytes, mode: int) -> None:
    """The old content or the new one, never half of it."""
    write_beside(path, content, mode).replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """The names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        path.unlink()
        raise
