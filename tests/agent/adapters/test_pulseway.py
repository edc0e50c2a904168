"""By which way a pulse comes, as the kernel shows it: laid out as on a Raspberry Pi 4 and a PC."""

from pathlib import Path

import pytest

from agent.adapters.pulseway import USB_FRAME_NS, ToldWay, frame_of
from agent.core.clock.time_signs import Pulse, Refusal, TimeSign

USB = "devices/platform/scb/fd500000.pcie/pci0000:00/usb1/1-1/1-1:1.0/ttyUSB0"
PIN, UART = "devices/platform/pps@12", "devices/platform/soc/fe201000.serial"


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """pps0 at a pin, pps1 at a USB adapter's modem line, pps2 at the computer's own serial port."""
    root = tmp_path / "sys"
    for name, terminal, device in (
        ("pps0", "", PIN), ("pps1", "/dev/ttyUSB0", ""), ("pps2", "/dev/ttyAMA0", "")
    ):  # fmt: skip
        source = root / "devices" / "virtual" / "pps" / name
        source.mkdir(parents=True)
        (source / "path").write_text(f"{terminal}\n")
        if device:
            (root / device).mkdir(parents=True)
            (source / "device").symlink_to(root / device)
        (root / "class" / "pps").mkdir(parents=True, exist_ok=True)
        (root / "class" / "pps" / name).symlink_to(source)
    for name, device in (("ttyUSB0", USB), ("ttyAMA0", UART)):
        (root / device).mkdir(parents=True)
        (root / "class" / "tty" / name).mkdir(parents=True)
        (root / "class" / "tty" / name / "device").symlink_to(root / device)
    return root


@pytest.mark.parametrize(
    ("name", "frame_ns"), [("pps0", 0), ("pps1", USB_FRAME_NS), ("pps2", 0), ("pps9", None)]
)
def test_the_kernel_says_by_which_way_pulses_come(
    sys: Path, name: str, frame_ns: int | None
) -> None:
    """By the device's name in /dev or by its folder; one that is not there is not known."""
    assert frame_of(Path("/dev") / name, sys) == frame_ns
    assert frame_of(sys / "class" / "pps" / name, sys) == frame_ns


class Source:
    """Tells one pulse and one refusal."""

    is_closed = False

    def poll(self) -> list[TimeSign]:
        return [Pulse(5, 1000, 100), Refusal(6, "pulse is not of now")]

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("frame_ns", [0, None, USB_FRAME_NS])
def test_each_pulse_says_its_way(frame_ns: int | None) -> None:
    """The rest passes as it is."""
    source = Source()
    told = ToldWay(source, frame_ns)
    assert told.poll() == [Pulse(5, 1000, 100, frame_ns), Refusal(6, "pulse is not of now")]
    told.close()
    assert source.is_closed
