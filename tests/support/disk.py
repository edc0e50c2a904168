"""A disk that fails on demand and tells of every change: `disk.c`, preloaded into a process."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SHARED_MEMORY = Path("/dev/shm")
SOURCE = Path(__file__).with_name("disk.c")


@contextmanager
def in_memory() -> Iterator[Path]:
    """A directory without a disk below it, where the system has such a place."""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as directory:
        yield Path(directory)


@contextmanager
def mounted(directory: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size, by the kernel's own rules of what is full; or a skip."""
    place = directory / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs can be mounted by root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def hog(disk: Path) -> None:
    """Take all that is left of `disk`, to the last block, with a file of this name."""
    with (disk / "hog").open("ab", 0) as file:
        for size in (1 << 16, 1 << 12):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    assert os.statvfs(disk).f_bavail == 0


def preload(directory: Path, source: Path = SOURCE) -> Path:
    """The library built of `disk.c`, or another; skips the test where there is no compiler."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    library = directory / f"{source.stem}.so"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"],
        check=True,
    )
    return library


def environment(library: Path, watch: Path, **more: Path) -> dict[str, str]:
    """For a process whose files below `watch` are stood in front of; `more` as in `disk.c`."""
    told = {f"DISK_{name.upper()}": str(path) for name, path in more.items()}
    return {**os.environ, "LD_PRELOAD": str(library), "DISK_WATCH": str(watch), **told}
