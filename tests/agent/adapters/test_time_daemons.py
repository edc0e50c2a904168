"""Who keeps the host's clock: what chrony, NTP daemons and their silence say of it.

The tables are what chronyc 4.3 printed of a daemon that was fed by a reference clock, a server,
both, and both at odds.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.adapters.time_daemons import UNKNOWN, AskedDaemons, by_chrony, by_ntp
from agent.core.clock.time_signs import BY_SERVERS, Kept

RECEIVER = "#,*,GPSX,0,0,252,3,0.000000000,0.000000000,0.001000001\n"
SERVER = "^,{},127.0.0.1,3,0,377,0,{:.9f},0.000003182,0.000003039\n"


@pytest.mark.parametrize(
    ("sources", "kept"),
    [
        (RECEIVER, Kept("receiver")),
        (SERVER.format("*", 0.0), BY_SERVERS),
        (RECEIVER + SERVER.format("+", 0.01), Kept("servers", 10_003_039)),
        (RECEIVER + SERVER.format("-", 0.2), Kept("servers", 200_003_039)),
        (RECEIVER + SERVER.format("-", 0.5), Kept("receiver")),
        (RECEIVER + SERVER.format("x", 0.0), Kept("receiver")),
        (RECEIVER + SERVER.format("?", 0.0), Kept("receiver")),
        (RECEIVER + SERVER.format("+", 0.0).replace("377", "0"), Kept("receiver")),
        (RECEIVER.replace("*", "x") + SERVER.format("x", 0.0), UNKNOWN),
        (RECEIVER.replace("*", "-") + SERVER.format("*", 0.0), BY_SERVERS),
        ("", None),
        ("506 Cannot talk to daemon\n", None),
    ],
)
def test_chronys_sources_say_who_keeps_the_clock(sources: str, kept: Kept | None) -> None:
    """A server by itself; with a reference clock chosen only one that still tells the second."""
    assert by_chrony(sources) == kept


def packet(leap: int, stratum: int, reference: bytes, mode: int = 4) -> bytes:
    return bytes([leap << 6 | 4 << 3 | mode, stratum, 6, 0xEC]) + bytes(8) + reference + bytes(32)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (packet(0, 1, b"GPS\0"), Kept("receiver")),
        (packet(1, 1, b"PPS\0"), Kept("receiver")),
        (packet(0, 2, b"\xc0\0\2\1"), BY_SERVERS),
        (packet(3, 0, b"INIT"), UNKNOWN),
        (packet(0, 16, bytes(4)), UNKNOWN),
        (packet(0, 1, b"GPS\0", mode=3), None),
        (b"\x24\x01", None),
    ],
)
def test_a_daemons_stratum_says_whether_it_hangs_on_a_reference(
    answer: bytes, kept: Kept | None
) -> None:
    """RFC 5905: stratum 1 is a reference clock's; unsynchronised is nobody's."""
    assert by_ntp(answer) == kept


def test_it_answers_at_once_and_is_asked_by_a_thread_of_its_own() -> None:
    """Before the first answer it is unknown; a daemon that hangs holds up nobody."""
    answers = threading.Event()

    def ask() -> Kept:
        answers.wait(5.0)
        return BY_SERVERS

    keeper = AskedDaemons(ask, every_s=0.01)
    try:
        assert keeper.kept() == UNKNOWN
        answers.set()
        deadline_s = time.monotonic() + 5.0
        while keeper.kept() == UNKNOWN and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert keeper.kept() == BY_SERVERS
    finally:
        keeper.close()


# ---- real daemons


def free_udp_port() -> int:
    """One that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


PORT, COMMAND_PORT = free_udp_port(), free_udp_port()
is_chrony_here = shutil.which("chronyd") and shutil.which("chronyc")


def daemon(home: Path, name: str, lines: str) -> subprocess.Popen[bytes]:
    config = home / f"{name}.conf"
    config.write_text(f"pidfile {home}/{name}.pid\n{lines}")
    words = ["chronyd", "-U", "-x", "-d", "-f", str(config)]
    if os.geteuid() == 0:
        words[1:1] = ["-u", "nobody"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    one = daemon(tmp_path, "server", f"local stratum 3\nport {PORT}\nallow 127.0.0.1\ncmdport 0\n"
                 "bindaddress 127.0.0.1\n")  # fmt: skip
    yield tmp_path
    one.terminate()
    one.wait(5.0)


def kept_by(home: Path, lines: str, wanted: str, feed: Path | None) -> Kept | None:
    """What is found out of a real daemon within 15 s."""
    one = daemon(home, "client", f"port 0\ncmdport {COMMAND_PORT}\nbindcmdaddress 127.0.0.1\n"
                 + lines)  # fmt: skip
    words = ["chronyc", "-h", "127.0.0.1", "-p", str(COMMAND_PORT), "-n", "-c", "sources"]
    kept = None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for _ in range(60):
                if feed is not None and feed.exists():
                    second, rest_ns = divmod(time.time_ns(), 10**9)
                    sender.sendto(
                        struct.pack(
                            "@qqdiiii", second, rest_ns // 1000, 0.001, 0, 0, 0, 0x534F434B
                        ),
                        str(feed),
                    )
                time.sleep(0.25)
                shown = subprocess.run(words, capture_output=True, text=True, timeout=5.0)
                kept = by_chrony(shown.stdout)
                if kept is not None and kept.by == wanted:
                    return kept
    finally:
        one.terminate()
        one.wait(5.0)
    return kept


@pytest.mark.system
@pytest.mark.skipif(not is_chrony_here, reason="chronyd is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="chronyd's sockets")
def test_a_real_chronyd_is_told_apart(server: Path) -> None:
    """A reference clock alone is a receiver; a server, alone or beside it, is one."""
    feed = server / "refclock.sock"
    clock = f"refclock SOCK {feed} refid GPSX poll 0 filter 4 precision 1e-3\n"
    upstream = f"server 127.0.0.1 port {PORT} minpoll -2 maxpoll 0 iburst\n"
    assert kept_by(server, clock, "receiver", feed) == Kept("receiver")
    assert kept_by(server, upstream, "servers", None) == BY_SERVERS
    both = kept_by(server, clock + upstream, "servers", feed)
    assert both is not None
    assert both.by == "servers"
