"""Tests of permissions without root's powers: root reads and writes whatever they say."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HAS_POWER = os.geteuid() == 0


@contextmanager
def as_nobody() -> Iterator[None]:
    """All threads of this process lose root's powers until the context ends; others have none.

    Import before what is needed inside: nobody may not enter root's home, where Python may be.
    """
    if not HAS_POWER:
        yield
        return
    nobody, groups = pwd.getpwnam("nobody"), os.getgroups()
    os.setgroups([])
    os.setegid(nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def common() -> Iterator[Path]:
    """A folder that everyone may enter and read; pytest's own are their maker's alone."""
    folder = Path(tempfile.mkdtemp(prefix="earshot-common-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def another_s(path: Path) -> Path:
    """Nothing for nobody to read or write; made so for this user too where it is not root."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if not HAS_POWER:
        path.chmod(0o500 if path.is_dir() else 0)
    return path
