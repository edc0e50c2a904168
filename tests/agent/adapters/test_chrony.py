"""chrony takes our pulses over its SOCK refclock, from an ordinary user that sets no clock."""

import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.adapters.chrony import ChronyFeed
from agent.adapters.host import SystemClock
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.links import until
from tests.support.nobody import HAS_POWER, as_nobody, common

CLOCK = SystemClock()
CONFIG = Path(__file__).parents[3] / "config" / "chrony"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_chrony_that_is_not_there_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No exception, and one warning for any number of marks."""
    feed = ChronyFeed(tmp_path / "nowhere.sock", CLOCK)
    for _ in range(3):
        feed.offer(CLOCK.monotonic_ns(), CLOCK.realtime_ns())
    feed.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_offset_is_that_of_the_system_clock(tmp_path: Path) -> None:
    """UTC 30 ms after the system clock's own reading is told as +30 ms, to the microsecond."""
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        feed = ChronyFeed(path, CLOCK)
        host_ns = CLOCK.monotonic_ns()
        utc_ns = CLOCK.realtime_ns() + 30 * NS_PER_MS
        feed.offer(host_ns, utc_ns)
        feed.close()
        sample = listener.recv(100)
    assert len(sample) == 40
    seconds, microseconds, offset_s, pulse, leap, _, magic = struct.unpack("@qqdiiii", sample)
    assert (pulse, leap, magic) == (0, 0, 0x534F434B)
    assert offset_s == pytest.approx(0.03, abs=1e-3)
    assert abs(seconds * NS_PER_S + microseconds * 1000 - utc_ns) < 40 * NS_PER_MS


def open_the_socket(path: Path) -> None:
    """What config/chrony/socket.conf has systemd do as root, to the socket of earshot.conf."""
    socket_line = re.search(r"^refclock SOCK (\S+)", (CONFIG / "earshot.conf").read_text(), re.M)
    steps = re.findall(r"^ExecStartPost=\+(.+)$", (CONFIG / "socket.conf").read_text(), re.M)
    assert socket_line
    assert len(steps) == 2
    for step in steps:
        assert socket_line[1] in step
        if HAS_POWER:
            here = step.replace(socket_line[1], str(path)).replace(" earshot ", " nogroup ")
            subprocess.run(here.split(), check=True)


@pytest.mark.system
@pytest.mark.skipif(shutil.which("chronyd") is None, reason="chronyd is not installed")
def test_chrony_selects_our_pulses() -> None:
    """The real chronyd, started by root as Debian does, reaches the source and knows our offset
    within some marks, though the node is an ordinary user."""
    port = free_port()
    with common() as home, chronyd(home, port), closing(ChronyFeed(home / "p.sock", CLOCK)) as feed:
        until((home / "p.sock").exists, "chrony's socket")
        open_the_socket(home / "p.sock")
        fields = [""] * 8
        for _ in range(60):
            with as_nobody():
                feed.offer(CLOCK.monotonic_ns(), CLOCK.realtime_ns() + 2 * NS_PER_MS)
            time.sleep(0.5)
            told = subprocess.run(
                ["chronyc", "-h", "127.0.0.1", "-p", str(port), "-c", "sources"],
                capture_output=True, text=True, check=False,
            ).stdout  # fmt: skip
            fields = told.strip().split(",")
            if len(fields) > 7 and int(fields[5], 8) >= 3:
                break
        assert fields[2] == "EARS"
        assert abs(float(fields[7])) == pytest.approx(2e-3, abs=1.5e-3)


@contextmanager
def chronyd(home: Path, port: int) -> Iterator[None]:
    """It never touches the host's clock (-x)."""
    (home / "c.conf").write_text(
        f"refclock SOCK {home}/p.sock refid EARS poll 0 filter 4 precision 1e-7 prefer\n"
        f"port 0\ncmdport {port}\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\n"
        f"pidfile {home}/pid\n"
    )
    user = ["-u", "nobody"] if HAS_POWER else []
    daemon = subprocess.Popen(
        ["chronyd", "-U", *user, "-x", "-d", "-f", f"{home}/c.conf"], stderr=subprocess.PIPE
    )
    try:
        yield
    finally:
        daemon.terminate()
        daemon.communicate(timeout=10)
