"""The shipped unit, and real daemons that keep the host's clock: from within it the node asks them.

In a container nobody may set the clock, and the kernel of this machine vouches for nothing: chronyd
runs with -x, and the kernel's word is the test's. What is shown is that the confinement lets the
questions out and the answers in, for the user that the node runs as.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.core.clock.integrity import KEPT_BY_UNKNOWN
from agent.core.clock.node_state import NodeState
from tests.support import container
from tests.support.container import Container
from tests.support.disk import preload
from tests.support.shipped import ROOT, SETTINGS, Town, machine_with_wheels

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(container.why_not()), reason=container.why_not() or "can be tried"),
]

HOSTCLOCK = Path(__file__).parents[1] / "support" / "hostclock.c"
PRELOADED = "/opt/earshot/hostclock.so"
NODE_DROP_IN = f"[Service]\nEnvironment=LD_PRELOAD={PRELOADED} HOSTCLOCK_VOUCHED_US=5000\n"
CHRONY_DROP_IN = "[Unit]\nConditionCapability=\n[Service]\nEnvironment=DAEMON_OPTS=-x\n"
UPSTREAM_PORT = 11123
SERVER = "local stratum 3\nallow 127.0.0.1\nbindaddress 127.0.0.1\ncmdport 0\nbindcmdaddress /\n"


class Host:
    """A machine with the node's unit and chrony's, and a time server of its own on loopback."""

    def __init__(self, machine: Container, library: Path) -> None:
        self.machine = machine
        town = Town(machine)
        town.install_node()
        machine.run("cp", "/root/node.pub.pem", "/etc/earshot/locator.pub.pem")
        settings = SETTINGS.replace("require_sync = false", "require_sync = true")
        machine.path("/etc/earshot/earshot.toml").write_text(settings)
        machine.path(PRELOADED).write_bytes(library.read_bytes())
        self._drop_in("earshot", NODE_DROP_IN)
        self._drop_in("chrony", CHRONY_DROP_IN)
        machine.path("/etc/default/chrony").write_text("")
        machine.run("systemctl", "daemon-reload")

    def _drop_in(self, unit: str, text: str) -> None:
        folder = f"/run/systemd/system/{unit}.service.d"
        self.machine.run("mkdir", "-p", folder)
        self.machine.path(f"{folder}/test.conf").write_text(text)

    def serve(self, port: int) -> None:
        """A time server that knows no other."""
        config = f"/etc/chrony/{port}.conf"
        self.machine.path(config).write_text(f"{SERVER}port {port}\npidfile /run/{port}.pid\n")
        daemon = ("chronyd", "-x", "-U", "-d", "-u", "_chrony", "-f", config)
        self.machine.run("systemd-run", f"--unit=server-{port}", *daemon)

    def node_says(self, kept: bool) -> None:
        """A node that starts now is sure of its second because servers keep the clock; or locks
        all the same, and says that nobody tells who keeps it."""
        self.machine.run("systemctl", "restart", "earshot")
        run = self.machine.state("earshot", "MainPID")["MainPID"]
        self.machine.until(
            lambda: (
                (state := self._state()) is not None
                and (str(state.pid), state.clock.state) == (run, "locked")
                and state.clock.confirmed == kept
                and (kept or KEPT_BY_UNKNOWN in state.clock.refused)
            ),
            "word of who keeps the clock",
            lambda: f"{self._state()}\n{self.machine.journal('earshot')[-2000:]}",
        )

    def _state(self) -> NodeState | None:
        path = self.machine.path("/run/earshot/state.json")
        return msgspec.json.decode(path.read_bytes(), type=NodeState) if path.exists() else None


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Nobody keeps its clock yet."""
    library = preload(tmp_path_factory.mktemp("library"), HOSTCLOCK)
    with machine_with_wheels(tmp_path_factory.mktemp("wheel")) as machine:
        yield Host(machine, library)


def test_without_a_daemon_nothing_is_confirmed(host: Host) -> None:
    """Though the kernel vouches: nobody says who keeps the clock, and that is told."""
    host.node_says(kept=False)


def test_chronyc_is_let_out_of_the_unit(host: Host) -> None:
    """Debian's own chrony and its settings, a server as its source: the second is confirmed."""
    host.serve(UPSTREAM_PORT)
    source = f"server 127.0.0.1 port {UPSTREAM_PORT} iburst minpoll -2 maxpoll 0\n"
    host.machine.path("/etc/chrony/sources.d/test.sources").write_text(source)
    host.machine.run("systemctl", "start", "chrony")
    host.node_says(kept=True)
    host.machine.run("systemctl", "stop", "chrony", f"server-{UPSTREAM_PORT}")


def test_any_ntp_daemon_is_asked(host: Host) -> None:
    """One that answers at the port of NTP and knows nothing of chronyc."""
    host.serve(123)
    host.node_says(kept=True)
    host.machine.run("systemctl", "stop", "server-123")


def test_the_word_of_timesyncd_is_read(host: Host) -> None:
    """Its file, where and as it leaves it: made at its first answer, in a folder of its own."""
    folder = "/run/systemd/timesync"
    host.machine.run("install", "-d", "-m", "755", "-o", "systemd-network", folder)
    host.machine.run("install", "-m", "644", "/dev/null", f"{folder}/synchronized")
    host.node_says(kept=True)


@pytest.mark.parametrize("unit", ["earshot", "earshot-locator"])
def test_the_kernel_may_be_asked_how_good_its_clock_is(host: Host, unit: str) -> None:
    """From within each unit: a node's certificates and the centre's receipts rest on the answer.
    Seen: in the locator's nobody ever vouched. Setting the clock stays forbidden."""
    ask = "from agent.adapters.host import kernel_discipline; print(kernel_discipline())"
    forbid = "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())"
    python = "/opt/earshot/.venv/bin/python"
    script = f"{python} -c '{ask}'; {python} -c '{forbid}'; echo asked"
    host.machine.path("/opt/earshot/ask.sh").write_text(script)
    shipped = (ROOT / f"systemd/{unit}.service").read_text("utf-8").replace("\\\n", "")
    own = "Exec|Environment|Watchdog|Notify|User=|State|Runtime|Working|Type=|Restart=|Supplement"
    text = re.sub(f"(?m)^({own}).*\n", "", shipped)
    runs = "[Service]\nType=exec\nUser=earshot\nExecStart=/bin/sh /opt/earshot/ask.sh\n"
    place = f"/run/systemd/system/{unit}-asks.service"
    host.machine.path(place).write_text(text.replace("[Service]\n", runs))
    host.machine.run("systemctl", "daemon-reload")
    host.machine.run("systemctl", "start", f"{unit}-asks")
    host.machine.until(lambda: "asked" in host.machine.journal(f"{unit}-asks"), "answer")
    said = host.machine.journal(f"{unit}-asks")
    assert "Discipline(is_synchronised=" in said, said
    assert "PermissionError" in said, said
