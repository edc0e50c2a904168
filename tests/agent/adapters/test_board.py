"""What a host tells of itself."""

from pathlib import Path

from agent.adapters.hardware import hardware
from agent.core.trust.enrolment import Hardware


def test_a_board_is_told_by_its_device_tree(tmp_path: Path) -> None:
    """Values end with a zero byte there, as on a Raspberry Pi."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    (tree / "serial-number").write_bytes(b"10000000abcdef01\0")
    assert hardware(tmp_path) == Hardware(
        machine_id="3d1219c7c4c5404aaa1f6d2a48adfda4",
        model="Raspberry Pi 4 Model B Rev 1.4",
        serial="10000000abcdef01",
    )


def test_what_a_host_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """Absent and empty files are None, oversized ones are cut, strange bytes do not matter."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/machine-id").write_text("\n")
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "model").write_bytes(b"\xff" * 1000)
    told = hardware(tmp_path)
    assert (told.machine_id, told.serial) == (None, None)
    assert told.model is not None
    assert len(told.model) <= 200
