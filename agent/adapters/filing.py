"""Files that are replaced together: all on disk under another name first, then all renamed.

A fault before the first rename leaves everything as it was. A power cut between two renames
leaves some files new and some old, which the same call repairs.
"""

from collections.abc import Mapping
from pathlib import Path

from agent import durable
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
        durable.write_new(path, content, mode)
    except FileExistsError:
        raise EnrolmentError(f"{path}: exists already: move it away, or name another") from None
    except OSError as error:
        raise EnrolmentError(f"{path}: cannot be written: {error.strerror}") from None


def replace_files(contents: Mapping[Path, bytes], mode: int = 0o644) -> bool:
    """Make each file hold its content, durably; False where all did. Raises EnrolmentError."""
    stale = {path: content for path, content in contents.items() if not _holds(path, content)}
    fresh: dict[Path, Path] = {}
    path = Path()
    try:
        for path, content in stale.items():
            fresh[path] = durable.write_beside(path, content, mode)
        for path in stale:
            fresh[path].replace(path)
        for folder in {path.parent for path in stale}:
            durable.sync_directory(folder)
    except OSError as error:
        for written in fresh.values():
            written.unlink(missing_ok=True)
        raise EnrolmentError(f"{path}: cannot be written: {error.strerror}") from None
    return bool(stale)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
