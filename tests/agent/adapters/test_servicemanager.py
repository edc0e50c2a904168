"""What the service manager hears, at a socket like systemd's."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.servicemanager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify") if request.param == "path" else f"\0{tmp_path}")
        listening.settimeout(5)
        yield listening


def environ(listening: socket.socket) -> dict[str, str]:
    name = listening.getsockname()
    return {"NOTIFY_SOCKET": name if isinstance(name, str) else f"@{name[1:].decode()}"}


def test_feeding_begins_when_it_is_ready(manager: socket.socket) -> None:
    """Before that it asks for more time to start, which a start that hangs does not."""
    service = ServiceManager(environ(manager))
    service.feed()
    service.tell("portaudio:x: no such device:\nplug it in")
    service.ready()
    service.feed()
    service.close()
    assert [manager.recv(200).decode() for _ in range(5)] == [
        "EXTEND_TIMEOUT_USEC=30000000",
        "STATUS=portaudio:x: no such device: plug it in",
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_without_a_manager_nothing_is_said(tmp_path: Path) -> None:
    """In a terminal, and where the socket has gone: no error."""
    for told in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        service = ServiceManager(told)
        service.ready()
        service.feed()
        service.close()
        service.feed()
