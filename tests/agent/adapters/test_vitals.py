"""The host's vitals, from files as the kernel shows them; what nothing measures is None."""

import threading
import time
from pathlib import Path

import pytest

from agent.adapters.vitals import SystemVitals
from agent.ports import Vitals


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def measured(root: Path, files: dict[str, str]) -> Vitals:
    return SystemVitals(root, tree(root / "sys", **files), root / "proc").measure()


AIR = {
    "1-wire": ({"bus/w1/devices/28-0316a27944ff/temperature": "-7375\n"}, -7.38),
    "1-wire, the older file": (
        {
            "bus/w1/devices/28-0316a27944ff/w1_slave": "8a ff 4b 46 7f ff 06 10 70 : crc=70 YES\n"
            "8a ff 4b 46 7f ff 06 10 70 t=-7375\n"
        },
        -7.38,
    ),
    "1-wire, a checksum that fails": (
        {"bus/w1/devices/28-0316a27944ff/w1_slave": "8a ff : crc=70 NO\n8a ff t=-7375\n"},
        None,
    ),
    "1-wire, before its first conversion": (
        {"bus/w1/devices/28-0316a27944ff/temperature": "85000\n"},
        None,
    ),
    "IIO, processed": (
        {
            "bus/iio/devices/iio:device0/name": "bme280\n",
            "bus/iio/devices/iio:device0/in_temp_input": "21560\n",
        },
        21.56,
    ),
    "IIO, raw": (
        {
            "bus/iio/devices/iio:device0/name": "si7020\n",
            "bus/iio/devices/iio:device0/in_temp_raw": "6000\n",
            "bus/iio/devices/iio:device0/in_temp_offset": "-4368\n",
            "bus/iio/devices/iio:device0/in_temp_scale": "10.725097656\n",
        },
        17.5,
    ),
    "hwmon": (
        {"class/hwmon/hwmon1/name": "sht4x\n", "class/hwmon/hwmon1/temp1_input": "4250\n"},
        4.25,
    ),
    "the processor is no air": (
        {"class/hwmon/hwmon0/name": "cpu_thermal\n", "class/hwmon/hwmon0/temp1_input": "31000\n"},
        None,
    ),
    "a number that cannot be": ({"bus/w1/devices/28-1/temperature": "-273000\n"}, None),
    "a sensor that fails": ({"bus/w1/devices/28-1/temperature": "\n"}, None),
    "no sensor": ({}, None),
}
POWER = {
    "firmware": ({"devices/platform/soc/soc:firmware/get_throttled": "50005\n"}, 0x50005),
    "all is well": ({"devices/platform/soc/soc:firmware/get_throttled": "0\n"}, 0),
    "alarm": ({"class/hwmon/hwmon2/in0_lcrit_alarm": "1\n"}, 1),
    "nobody watches": ({}, None),
}
CARD = {
    "eMMC": ({"block/mmcblk0/device/life_time": "0x02 0x09\n"}, 90),
    "a card that does not tell": ({"block/mmcblk0/device/name": "SC32G\n"}, None),
}


@pytest.mark.parametrize("name", AIR)
def test_air_temperature(name: str, tmp_path: Path) -> None:
    """From IIO, hwmon or 1-wire; a wrong number is worse than none."""
    files, celsius = AIR[name]
    assert measured(tmp_path, files).air_temperature_c == celsius


@pytest.mark.parametrize("name", POWER)
def test_power(name: str, tmp_path: Path) -> None:
    """The bits of the firmware, else the kernel's alarm, else nothing."""
    files, bits = POWER[name]
    assert measured(tmp_path, files).throttled == bits


@pytest.mark.parametrize("name", CARD)
def test_card(name: str, tmp_path: Path) -> None:
    """The share of its life that is used, as the worse of its two areas has it."""
    files, used_pct = CARD[name]
    assert measured(tmp_path, files).card_used_pct == used_pct


def test_heat_disk_and_memory(tmp_path: Path) -> None:
    """In degrees and MB of 10^6; of a disk that is not there nothing is said."""
    files = {
        "class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "class/thermal/thermal_zone0/temp": "67230\n",
        "class/thermal/thermal_zone1/type": "battery\n",
        "class/thermal/thermal_zone1/temp": "20000\n",
    }
    meminfo = "MemTotal:         948280 kB\nMemFree: 1 kB\nMemAvailable:     612000 kB\n"
    tree(tmp_path / "proc", meminfo=meminfo)
    shown = measured(tmp_path, files)
    assert shown.soc_temperature_c == 67.23
    assert (shown.memory_total_mb, shown.memory_free_mb) == (971, 626)
    assert shown.disk_total_mb
    assert shown.disk_free_mb is not None
    assert shown.disk_is_read_only is False
    assert SystemVitals(tmp_path / "none", tmp_path, tmp_path).measure() == Vitals()


def test_reading_never_waits_and_old_values_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor on a bus that hangs holds up its helper alone; what it said before is let go."""
    seconds, hangs = Seconds(), threading.Event()
    shown = tree(tmp_path / "sys", **{"bus/w1/devices/28-1/temperature": "4000\n"})
    vitals = SystemVitals(tmp_path, shown, tmp_path, seconds)
    assert vitals.read() == Vitals()
    _until(lambda: vitals.read().air_temperature_c == 4.0)
    threads = threading.active_count()
    monkeypatch.setattr(vitals, "measure", lambda: hangs.wait(30.0) and Vitals())
    seconds.now += 30.0
    for _ in range(5):
        assert vitals.read().air_temperature_c == 4.0
    assert threading.active_count() <= threads + 1
    seconds.now += 100.0
    assert vitals.read() == Vitals()
    hangs.set()


def _until(is_so) -> None:
    give_up_s = time.monotonic() + 20.0
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)
