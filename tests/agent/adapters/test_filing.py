"""Files that are replaced together, or not at all."""

import stat
from pathlib import Path

import pytest

from agent.adapters.filing import read_file, replace_files, write_new_file
from agent.errors import EnrolmentError


def test_files_are_replaced_and_then_left_alone(tmp_path: Path) -> None:
    """Each holds its content, with the mode asked for; a second call finds nothing to do."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    contents = {first: b"new", second: b"fresh"}
    assert replace_files(contents)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == contents
    assert stat.S_IMODE(second.stat().st_mode) == 0o644
    before = first.stat().st_mtime_ns, first.stat().st_ino
    assert not replace_files(contents)
    assert (first.stat().st_mtime_ns, first.stat().st_ino) == before


def test_where_one_cannot_be_written_none_is_changed(tmp_path: Path) -> None:
    """The path is named, the old contents stand, and nothing is left lying about."""
    first, lost = tmp_path / "first", tmp_path / "none" / "second"
    first.write_bytes(b"old")
    with pytest.raises(EnrolmentError, match=f"^{lost}: cannot be written: No such file"):
        replace_files({first: b"new", lost: b"fresh"})
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {first: b"old"}


def test_what_a_power_cut_left_half_done_is_finished(tmp_path: Path) -> None:
    """A half-written neighbour is no obstacle."""
    (tmp_path / "first.new").write_bytes(b"ne")
    assert replace_files({tmp_path / "first": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    """What is there stays as it is, whatever it is."""
    path = tmp_path / "file"
    write_new_file(path, b"first")
    with pytest.raises(EnrolmentError, match=f"^{path}: exists already: move it away"):
        write_new_file(path, b"second")
    assert path.read_bytes() == b"first"
    with pytest.raises(EnrolmentError, match="cannot be written: No such file"):
        write_new_file(tmp_path / "none" / "file", b"first")


def test_only_files_of_a_fitting_size_are_read(tmp_path: Path) -> None:
    """To the byte; more, and what is no file, is refused by name."""
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(EnrolmentError, match=f"^{path}: is over 4 bytes"):
        read_file(path, 4)
    with pytest.raises(EnrolmentError, match=f"^{tmp_path}: cannot be read: Is a directory"):
        read_file(tmp_path, 4)
