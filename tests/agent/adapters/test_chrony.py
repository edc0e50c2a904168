"""chrony takes our pulses over its SOCK refclock, run as an ordinary user that sets no clock."""

import pwd
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from agent.adapters.chrony import ChronyFeed
from agent.adapters.host import SystemClock
from agent.core.units import NS_PER_MS, NS_PER_S

CLOCK = SystemClock()


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


@pytest.mark.system
@pytest.mark.skipif(shutil.which("chronyd") is None, reason="chronyd is not installed")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_chrony_selects_our_pulses(tmp_path: Path) -> None:
    """The real chronyd reaches the source and knows our offset, within ten marks."""
    user = pwd.getpwnam("nobody")
    home = Path("/tmp") / f"earshot-chrony-{free_port()}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    port = free_port()
    (home / "c.conf").write_text(
        f"refclock SOCK {home}/p.sock refid EARS poll 0 filter 4 precision 1e-7 prefer\n"
        f"port 0\ncmdport {port}\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\n"
        f"pidfile {home}/pid\n"
    )
    command = ["setpriv", f"--reuid={user.pw_uid}", "--clear-groups"]
    daemon = subprocess.Popen(
        [*command, "chronyd", "-U", "-u", "nobody", "-x", "-d", "-f", f"{home}/c.conf"],
        stderr=subprocess.PIPE,
    )
    try:
        feed = ChronyFeed(home / "p.sock", CLOCK)
        told = ""
        for _ in range(60):
            before_ns = CLOCK.monotonic_ns()
            feed.offer(before_ns, CLOCK.realtime_ns() + 2 * NS_PER_MS)
            time.sleep(0.5)
            told = subprocess.run(
                ["chronyc", "-h", "127.0.0.1", "-p", str(port), "-c", "sources"],
                capture_output=True, text=True, check=False,
            ).stdout  # fmt: skip
            fields = told.strip().split(",")
            if len(fields) > 7 and fields[2] == "EARS" and int(fields[5], 8) >= 3:
                break
        assert fields[2] == "EARS"
        assert float(fields[7]) == pytest.approx(2e-3, abs=1.5e-3) or float(
            fields[7]
        ) == pytest.approx(-2e-3, abs=1.5e-3)
        feed.close()
    finally:
        daemon.terminate()
        daemon.communicate(timeout=10)
        shutil.rmtree(home, ignore_errors=True)
