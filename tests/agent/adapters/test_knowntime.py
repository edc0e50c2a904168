"""The last known time: kept each minute, read at the next start, never in the way."""

import os
from pathlib import Path

import pytest

from agent.adapters.knowntime import KnownTime
from agent.core.units import NS_PER_S

UTC_NS = 1_830_000_000 * NS_PER_S


def test_the_next_run_knows_what_this_one_knew(tmp_path: Path) -> None:
    """Renewed once a minute, whole at every moment."""
    path = tmp_path / "known-utc"
    known = KnownTime(path)
    assert known.utc_ns is None
    for second in range(130):
        known.keep(UTC_NS + second * NS_PER_S)
    assert KnownTime(path).utc_ns == UTC_NS + 120 * NS_PER_S


@pytest.mark.parametrize("content", ["", "soon", "1.5", "\x00"])
def test_a_damaged_file_is_no_knowledge(tmp_path: Path, content: str) -> None:
    """It is as if there were none, and is replaced."""
    path = tmp_path / "known-utc"
    path.write_text(content)
    known = KnownTime(path)
    assert known.utc_ns is None
    known.keep(UTC_NS)
    assert KnownTime(path).utc_ns == UTC_NS


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    """The node goes on without this bound."""
    KnownTime(tmp_path / "missing" / "known-utc").keep(UTC_NS)


def test_what_is_known_is_on_the_disk_when_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content and name are synced: a host that loses its power the next moment still knows."""
    synced: list[str] = []
    fsync = os.fsync

    def told(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", told)
    KnownTime(tmp_path / "known-utc").keep(UTC_NS)
    assert synced == [str(tmp_path / "known-utc.new"), str(tmp_path)]
