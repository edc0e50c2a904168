"""What the service manager is told, by sd_notify(3): ready, alive, a line of status, stopping.

Without NOTIFY_SOCKET in the environment (no systemd, or a unit of another type) all of it is
silence. A message that cannot be sent is dropped: the next one says the same.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

_STARTING_US = 30_000_000


class ServiceManager:
    """A Supervisor; may be used from several threads."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._is_ready = False

    def ready(self) -> None:
        """The service does what it is for."""
        self._is_ready = True
        self._send("READY=1")

    def feed(self) -> None:
        """All parts are alive; until the service is ready, that it needs more time for that."""
        alive = "WATCHDOG=1" if self._is_ready else f"EXTEND_TIMEOUT_USEC={_STARTING_US}"
        self._send(alive)

    def tell(self, status: str) -> None:
        """A line for `systemctl status`."""
        self._send(f"STATUS={' '.join(status.split())}")

    def close(self) -> None:
        """The service ends in order."""
        self._send("STOPPING=1")
        self._socket.close()

    def _send(self, message: str) -> None:
        if self._address:
            with suppress(OSError):
                self._socket.sendto(message.encode(), self._address)
