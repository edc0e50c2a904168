"""Which satellite receivers and pulses this host may have, by names that stay the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SERIAL = ("ttyACM*", "ttyUSB*", "ttyAMA*", "serial0")
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Peripheral:
    """`setting` is its value in the settings file, `name` what the host calls it."""

    setting: str
    name: str


def serial_lines(root: Path = _ROOT) -> list[Peripheral]:
    """Lines that a receiver may hang on: by the name of a USB device where it has one, else by
    that of the port.
    """
    named = {path.resolve(): path for path in sorted((root / "dev/serial/by-id").glob("*"))}
    lines = [path for glob in _SERIAL for path in sorted((root / "dev").glob(glob))]
    told: dict[Path, Peripheral] = {}
    for line in lines:
        real = line.resolve()
        if real not in told:
            told[real] = Peripheral(_setting(named.get(real, line), root), real.name)
    return list(told.values())


def pulses(root: Path = _ROOT) -> Iterator[Peripheral]:
    """Sources of pulses that the kernel has, with the name that their driver gave."""
    for path in sorted((root / "sys/class/pps").glob("pps*")):
        device = root / "dev" / path.name
        try:
            name = (path / "name").read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            name = ""
        yield Peripheral(_setting(device if device.exists() else path, root), name)


def _setting(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"
