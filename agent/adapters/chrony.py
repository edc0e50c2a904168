"""Offers named pulses to chrony over its SOCK refclock, to discipline the host's clock too.

An option: the agent itself never sets a clock and does not need chrony. Datagrams only, never
waiting; a chrony that is not there costs nothing and is told of once.
"""

import logging
import socket
import struct
from pathlib import Path

from agent.core.units import NS_PER_S, NS_PER_US
from agent.ports import HostClock

_SAMPLE = struct.Struct("@qqdiiii")  # struct sock_sample of chrony's refclock_sock.c
_MAGIC = 0x534F434B

log = logging.getLogger("earshot")


class ChronyFeed:
    """Where marks go; see `offer`."""

    def __init__(self, path: Path, clock: HostClock) -> None:
        self._path, self._clock = str(path), clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._is_heard = True

    def offer(self, host_ns: int, utc_ns: int) -> None:
        """At host time `host_ns` it was `utc_ns`: tell chrony how far its clock was off then."""
        realtime_ns = self._clock.realtime_ns() - self._clock.monotonic_ns() + host_ns
        seconds, rest_ns = divmod(realtime_ns, NS_PER_S)
        microseconds = rest_ns // NS_PER_US
        offset_s = (utc_ns - realtime_ns + rest_ns % NS_PER_US) / NS_PER_S
        sample = _SAMPLE.pack(seconds, microseconds, offset_s, 0, 0, 0, _MAGIC)
        try:
            self._socket.sendto(sample, self._path)
            self._is_heard = True
        except OSError as error:
            if self._is_heard:
                log.warning("chrony does not listen at %s: %s", self._path, error.strerror)
            self._is_heard = False

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()
