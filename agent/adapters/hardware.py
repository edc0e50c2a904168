"""What the host says of itself: enough to tell two boards apart, nothing secret.

The root of the file system is given, so that another machine's files can stand in for ours.
"""

from pathlib import Path

from agent.core.trust.enrolment import Hardware

_LONGEST = 200


def hardware(root: Path = Path("/")) -> Hardware:
    """The machine id of systemd, and model and serial number of a board with a device tree."""
    tree = root / "proc/device-tree"
    return Hardware(
        machine_id=_text(root / "etc/machine-id"),
        model=_text(tree / "model"),
        serial=_text(tree / "serial-number"),
    )


def _text(path: Path) -> str | None:
    """The first line of a file, whose end a device tree marks with a zero byte."""
    try:
        text = path.read_bytes()[:_LONGEST].decode("ascii", "replace")
    except OSError:
        return None
    return text.strip("\0\n ") or None
