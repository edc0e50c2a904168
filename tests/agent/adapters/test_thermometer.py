"""The host's thermometers, and what is kept of its crystal over restarts."""

from pathlib import Path

from agent.adapters.crystalfile import CrystalFile
from agent.adapters.thermometer import Thermometer
from agent.core.clock.time_signs import Temperature
from agent.core.units import NS_PER_S


class Clock:
    def __init__(self) -> None:
        self.now_ns = 50 * NS_PER_S

    def monotonic_ns(self) -> int:
        return self.now_ns

    def realtime_ns(self) -> int:
        return self.now_ns


def board(root: Path, **millidegrees: str) -> Path:
    """A sysfs with thermal zones that show so much."""
    for name, text in millidegrees.items():
        zone = root / "class" / "thermal" / f"thermal_zone{name[-1]}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(text)
    return root


def test_a_temperature_a_minute(tmp_path: Path) -> None:
    """The coolest sensor, in degrees, once a minute and no more after the end."""
    clock = Clock()
    thermometer = Thermometer(clock, board(tmp_path, zone0="48312\n", zone1="51000\n"))
    assert thermometer.poll() == [Temperature(50 * NS_PER_S, 48.312)]
    clock.now_ns += 59 * NS_PER_S
    assert thermometer.poll() == []
    clock.now_ns += NS_PER_S
    assert [type(sign) for sign in thermometer.poll()] == [Temperature]
    thermometer.close()
    clock.now_ns += 600 * NS_PER_S
    assert thermometer.poll() == []


def test_a_board_without_sensors_and_broken_ones_say_nothing(tmp_path: Path) -> None:
    """No sensor, no number, a number that cannot be."""
    assert Thermometer(Clock(), tmp_path / "none").poll() == []
    broken = board(tmp_path / "broken", zone0="", zone1="hot\n", zone2="-273000\n")
    assert Thermometer(Clock(), broken).poll() == []


def test_a_crystal_is_known_again_after_a_restart(tmp_path: Path) -> None:
    """Renewed once an hour; ppm that it runs fast are ns that its offset loses."""
    file = CrystalFile(tmp_path / "crystal")
    assert file.slope is None
    file.keep(0, None, None)
    assert CrystalFile(tmp_path / "crystal").slope is None
    file.keep(0, 0.2, 0.01)
    file.keep(NS_PER_S, 9.9, 9.9)
    assert CrystalFile(tmp_path / "crystal").slope == (-200.0, 10.0)
    file.keep(3_700 * NS_PER_S, -0.1, 0.02)
    assert CrystalFile(tmp_path / "crystal").slope == (100.0, 20.0)


def test_a_file_that_is_broken_costs_what_was_learnt_and_no_more(tmp_path: Path) -> None:
    """Nothing, half a line, no numbers, no sigma: as if it had never been."""
    for text in ("", "12", "a b", "1 0", "nan 1", "1 inf", "1 2 3"):
        (tmp_path / "crystal").write_text(text)
        assert CrystalFile(tmp_path / "crystal").slope is None
    CrystalFile(tmp_path / "no" / "folder").keep(0, 0.1, 0.1)
