"""Files that are replaced together: all on disk under another name first, then all renamed.

A fault before the first rename leaves everything as it was. A power cut between two renames
leaves some files new and some old, which the same call repairs.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from agent.errors import EnrolmentError


def read_file(path: Path, limit: int) -> bytes:
    """All of a file, at most `limit` bytes. Raises EnrolmentError."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > limit:
        raise EnrolmentError(f"{path}: is over {limit} bytes: this is another kind of file")
    return content


def write_new_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that was not there, durably. Raises EnrolmentError."""
    try:
        _write(path, content, mode)
        _sync(path.parent)
    except FileExistsError:
        raise EnrolmentError(f"{path}: exists already: move it away, or name another") from None
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be written: {error.strerror}") from None


def replace_files(contents: Mapping[Path, bytes], mode: int = 0o644) -> bool:
    """Make each file hold its content, durably; False where all did. Raises EnrolmentError."""
    stale = {path: content for path, content in contents.items() if not _holds(path, content)}
    path = Path()
    try:
        for path, content in stale.items():
            _fresh(path).unlink(missing_ok=True)
            _write(_fresh(path), content, mode)
        for path in stale:
            _fresh(path).replace(path)
        for folder in {path.parent for path in stale}:
            _sync(folder)
    except OSError as error:
        for written in stale:
            _fresh(written).unlink(missing_ok=True)
        raise EnrolmentError(f"{path}: cannot be written: {error.strerror}") from None
    return bool(stale)


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask took away
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
