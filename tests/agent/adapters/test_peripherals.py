"""Receivers and pulses are listed by the names that settings want."""

from pathlib import Path

from agent.adapters.peripherals import Peripheral, pulses, serial_lines


def test_a_usb_receiver_is_named_by_what_it_is(tmp_path: Path) -> None:
    """Not by the number that it happened to get; the line on the header by its port; each once."""
    dev = tmp_path / "dev"
    (dev / "serial/by-id").mkdir(parents=True)
    for name in ("ttyACM0", "ttyAMA0", "ttyS0"):
        (dev / name).touch()
    (dev / "serial0").symlink_to("ttyAMA0")
    (dev / "serial/by-id/usb-u-blox_GNSS-if00").symlink_to("../../ttyACM0")
    assert serial_lines(tmp_path) == [
        Peripheral("/dev/serial/by-id/usb-u-blox_GNSS-if00", "ttyACM0"),
        Peripheral("/dev/ttyAMA0", "ttyAMA0"),
    ]


def test_a_pulse_is_named_with_its_driver(tmp_path: Path) -> None:
    """By its device, or, where there is none, by its directory of the kernel's."""
    for number, name in enumerate(("pps@12.-1", "ttyS0")):
        (tmp_path / f"sys/class/pps/pps{number}").mkdir(parents=True)
        (tmp_path / f"sys/class/pps/pps{number}/name").write_text(f"{name}\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/pps0").touch()
    assert list(pulses(tmp_path)) == [
        Peripheral("/dev/pps0", "pps@12.-1"),
        Peripheral("/sys/class/pps/pps1", "ttyS0"),
    ]


def test_a_host_that_has_none_lists_none(tmp_path: Path) -> None:
    """No directory is no error."""
    assert (serial_lines(tmp_path), list(pulses(tmp_path))) == ([], [])
