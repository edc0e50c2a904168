"""A small Debian of its own in the cache, and packages to install in it without a network.

Both are made once: the root by debootstrap, the wheels by pip for the Python in that root. They
are looked for below $XDG_CACHE_HOME, or ~/.cache; deleting them only costs the time to make them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SUITE = "bookworm"
PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,python3-venv,libportaudio2,mosquitto,mosquitto-clients,"
    "chrony"
)
MAKE_S = 600.0

ROOT = Path(__file__).parents[2]


class CannotMakeError(Exception):
    """What this machine lacks, in one line: a reason to skip."""


def debian() -> Path:
    """The root of a Debian that nobody has written to. Raises CannotMakeError."""
    return _cached(f"{SUITE}-{_digest(PACKAGES)}", _debootstrap)


def wheelhouse(debian_root: Path) -> Path:
    """A folder of wheels: all that Earshot needs, for the Python of `debian_root`, but Earshot."""
    python = (debian_root / "usr/bin/python3").readlink().name.removeprefix("python")
    pins = ROOT / f".ci/constraints/{python}.txt"
    needs = (ROOT / "pyproject.toml").read_text("utf-8")
    return _cached(
        f"wheels-{python}-{_digest(needs + pins.read_text('utf-8'))}",
        lambda folder: _download(folder, python, pins),
    )


def build_wheel(folder: Path) -> Path:
    """Earshot's wheel of the files that git knows: what lies about in a checkout stays out.

    It needs no network, so that a package that cannot be built fails and is not skipped.
    """
    listed = _run(["git", "-C", str(ROOT), "ls-files", "-z"]).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "tree" / name)
    alone = ("--no-deps", "--no-build-isolation")
    done = _pip("wheel", *alone, "--wheel-dir", str(folder), str(folder / "tree"))
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("earshot_node-*.whl")
    return wheel


def _debootstrap(folder: Path) -> None:
    words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder)]
    _need(_run(words))


def _download(folder: Path, python: str, pins: Path) -> None:
    build = folder.with_name(f"{folder.name}.build")
    try:
        wheel = build_wheel(build)
        done = _pip(
            "download", "--only-binary=:all:", f"--python-version={python}",
            f"--constraint={pins}", f"--dest={folder}", str(wheel),
        )  # fmt: skip
        _need(done)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    for own in folder.glob("earshot_node-*.whl"):
        own.unlink()  # of today: each run builds its own


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """What `make` puts into a folder, made by one process at a time and then kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot-tests"
    cache.mkdir(parents=True, exist_ok=True)
    kept, part = cache / name, cache / f"{name}.part"
    with _alone(cache / f"{name}.lock"):
        if not kept.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                make(part)
                part.rename(kept)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return kept


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pip(*words: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=MAKE_S, check=False)


def _need(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise CannotMakeError(f"{' '.join(done.args[:4])} failed: {said[-1]}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
