"""What a power cut may leave of a store: disk states rebuilt from a trace of `disk.c`.

What was synced is kept. Of the rest, a cut leaves nothing, a beginning, any part, or any part
with one write torn between sectors. As on ext4, a removal is certain after the next sync of
anything. Nobody's promise is tested here: images are made, `storeproof` opens them.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
CUTS = ("nothing", "beginning", "part", "torn")


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a trace: write, sync, truncate, allocate or unlink; `offset` may be a size."""

    op: str
    name: str
    offset: int
    data: bytes = b""


def read_trace(path: Path) -> Iterator[Change]:
    with path.open("rb") as trace:
        while line := trace.readline():
            op, name, offset, size = line.decode().split()
            data = trace.read(int(size)) if op == "w" else b""
            yield Change(op, name, int(offset), data)


@dataclass(slots=True)
class File:
    """What was written, and the size with the zeros after it."""

    content: bytearray = field(default_factory=bytearray)
    size: int = 0

    def apply(self, change: Change) -> None:
        end = change.offset + len(change.data)
        if change.op == "w":
            self.content.extend(bytes(max(0, end - len(self.content))))
            self.content[change.offset : end] = change.data
        elif change.op == "t":
            del self.content[end:]
            self.size = end
        self.size = max(self.size, end)

    def write(self, path: Path) -> None:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.truncate(file, len(self.content))
        os.pwrite(file, self.content, 0)
        os.truncate(file, self.size)
        os.close(file)


@dataclass(slots=True)
class Disk:
    """Contents that a cut cannot touch, and the changes since that it may."""

    synced: dict[str, File] = field(default_factory=dict)
    unsynced: list[Change] = field(default_factory=list)

    def take(self, change: Change) -> None:
        if change.op != "s":
            self.unsynced.append(change)
            return
        pending, self.unsynced = self.unsynced, []
        for one in pending:
            if one.op == "u":
                self.unsynced = [other for other in self.unsynced if other.name != one.name]
                self.synced.pop(one.name, None)
            elif one.name == change.name:
                self.synced.setdefault(one.name, File()).apply(one)
            else:
                self.unsynced.append(one)

    def survivors(self, cut: str, rng: random.Random) -> list[Change]:
        """The unsynced changes, or pieces of them, that one `cut` of CUTS leaves."""
        if cut == "nothing" or not self.unsynced:
            return []
        if cut == "beginning":
            return self.unsynced[: rng.randrange(len(self.unsynced)) + 1]
        share = rng.random()
        kept = [one for one in self.unsynced if rng.random() < share]
        writes = [at for at, one in enumerate(kept) if one.op == "w"]
        if cut == "torn" and writes:
            at = rng.choice(writes)
            kept[at : at + 1] = [piece for piece in sectors(kept[at]) if rng.random() < 0.5]
        return kept

    def write_image(self, directory: Path, survivors: list[Change]) -> None:
        """The files after the cut, in place of all that is in `directory`."""
        for name in {path.name for path in directory.iterdir()} - self.synced.keys():
            (directory / name).unlink()
        for name, file in self.synced.items():
            file.write(directory / name)
        for change in survivors:
            path = directory / change.name
            if change.op == "u":
                path.unlink(missing_ok=True)
                continue
            opened = os.open(path, os.O_RDWR | os.O_CREAT)
            if change.op == "w":
                os.pwrite(opened, change.data, change.offset)
            elif change.op == "t" or os.fstat(opened).st_size < change.offset:
                os.truncate(opened, change.offset)
            os.close(opened)


def sectors(write: Change) -> Iterator[Change]:
    """A write in pieces that a disk writes whole or not at all."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        data = write.data[start - write.offset : stop - write.offset]
        yield Change("w", write.name, start, data)
        start = stop
