"""Who keeps the host's clock: time servers, or a receiver that may be the node's own.

The kernel does not say. chrony does (`chronyc sources`), any NTP daemon by the stratum it answers
with on this host, systemd-timesyncd by a file; of others nobody knows. A daemon is asked now and
then by a thread of its own, for it may be slow to answer.
"""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from agent.core.clock.time_signs import BY_SERVERS, Kept
from agent.core.units import NS_PER_S

_ASK_EVERY_S = 16.0
_ANSWER_S = 3.0
_NAMES_A_SECOND_S = 0.4
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_LONGEST_POLL_S = 3 * 2048.0  # timesyncd touches its file at each answer of a server
_NTP_REQUEST = b"\x23" + bytes(47)  # RFC 5905: version 4, client
_NTP_PORT, _UNSYNCHRONISED = 123, 3
_CHRONYC = ("chronyc", "-n", "-c", "sources")


UNKNOWN = Kept("unknown")


def by_chrony(sources: str) -> Kept | None:
    """What `chronyc -c sources` shows; None if it is no such table.

    A server as the chosen source speaks for itself. With a reference clock chosen ("#") the seconds
    are a receiver's, unless a server that chrony has not cast out agrees closely enough to tell
    one second from the next; how closely is then all that is known.
    """
    rows = [row.split(",") for row in sources.split()]
    if not rows or any(len(row) < 10 for row in rows):
        return None
    chosen = next((row for row in rows if row[1] == "*"), None)
    if chosen is None:
        return UNKNOWN
    if chosen[0] != "#":
        return BY_SERVERS
    near_s = [abs(float(row[7])) + float(row[9]) for row in _servers(rows)]
    if near_s and min(near_s) < _NAMES_A_SECOND_S:
        return Kept("servers", round(min(near_s) * NS_PER_S))
    return Kept("receiver")


def _servers(rows: list[list[str]]) -> Iterator[list[str]]:
    """Time servers that answer and were not found wrong."""
    yield from (row for row in rows if row[0] in "^=" and row[1] in "*+-" and row[5] != "0")


def by_ntp(answer: bytes) -> Kept | None:
    """What an NTP packet of the daemon of this host says: a clock of stratum 1 hangs on its own
    reference. None if it is no such packet."""
    if len(answer) < 48 or answer[0] & 7 != 4:
        return None
    if answer[0] >> 6 == _UNSYNCHRONISED or not 1 <= answer[1] <= 15:
        return UNKNOWN
    return Kept("receiver" if answer[1] == 1 else "servers")


def ask_daemons() -> Kept:
    """Ask those that may be there, the one that says most first."""
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        told = subprocess.run(_CHRONYC, capture_output=True, text=True, timeout=_ANSWER_S)
        if told.returncode == 0 and (kept := by_chrony(told.stdout)):
            return kept
    with suppress(OSError):
        if kept := by_ntp(_ntp_answer()):
            return kept
    with suppress(OSError):
        if time.time() - _TIMESYNCD.stat().st_mtime < _LONGEST_POLL_S:
            return BY_SERVERS
    return UNKNOWN


def _ntp_answer() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(_ANSWER_S)
        line.connect(("127.0.0.1", _NTP_PORT))
        line.send(_NTP_REQUEST)
        return line.recv(512)


class AskedDaemons:
    """A HostDiscipline that asks the daemons every 16 s; `unknown` before the first answer."""

    def __init__(
        self, ask: Callable[[], Kept] = ask_daemons, every_s: float = _ASK_EVERY_S
    ) -> None:
        self._ask, self._every_s = ask, every_s
        self._kept = UNKNOWN
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="time daemons", daemon=True)
        self._thread.start()

    def kept(self) -> Kept:
        """The last answer."""
        return self._kept

    def close(self) -> None:
        """Ask no more."""
        self._closing.set()
        self._thread.join(_ANSWER_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._kept = self._ask()
            self._closing.wait(self._every_s)
