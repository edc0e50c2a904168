"""Air and walls, against the published tables and the closed forms."""

import math

import numpy as np
import pytest

from agent.core.units import sound_speed_mps
from simulator.scene.propagation import (
    Air,
    Path,
    Wall,
    absorption_db_per_m,
    paths,
    propagate,
    travel_s,
)

OCTAVES_HZ = 1000.0 * 10.0 ** (0.3 * np.arange(-4, 4))

# ISO 9613-2:1996 Table 2, dB/km at 63 Hz to 8 kHz.
TABLE_2 = {
    (10.0, 70.0): (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0),
    (20.0, 70.0): (0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6),
    (30.0, 70.0): (0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3),
    (15.0, 20.0): (0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202.0),
    (15.0, 50.0): (0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129.0),
    (15.0, 80.0): (0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8),
}


@pytest.mark.parametrize(("weather", "published"), TABLE_2.items())
def test_absorption_is_that_of_the_standards_table(weather, published):
    """Every value of ISO 9613-2 Table 2 comes out, to its printed digits."""
    air = Air(temperature_c=weather[0], humidity_pct=weather[1])
    computed = absorption_db_per_m(OCTAVES_HZ, air) * 1000.0
    np.testing.assert_allclose(computed, published, rtol=0.005, atol=0.051)


@pytest.mark.parametrize(
    ("temperature_c", "humidity_pct", "nominal_step", "db_per_km"),
    [(-20.0, 10.0, -13, 0.589), (20.0, 15.0, 8, 175.0)],
)
def test_absorption_agrees_with_iso_9613_1_table_1(
    temperature_c, humidity_pct, nominal_step, db_per_km
):
    """Cold dry air at 50 Hz and warm dry air at 6.3 kHz, where relaxation rules."""
    frequency_hz = np.array([1000.0 * 10.0 ** (nominal_step / 10.0)])
    air = Air(temperature_c=temperature_c, humidity_pct=humidity_pct)
    assert absorption_db_per_m(frequency_hz, air)[0] * 1000.0 == pytest.approx(db_per_km, rel=5e-3)


def test_pressure_falls_with_distance_and_reflection():
    """Low frequencies lose 6 dB per doubling and the reflection's share, nothing else."""
    low_hz, air = np.array([1.0]), Air()
    near, far, echo = (
        abs(propagate(np.ones(1, complex), low_hz, Path(0.0, length, gain), air)[0])
        for length, gain in ((50.0, 1.0), (100.0, 1.0), (100.0, 0.5))
    )
    assert near / far == pytest.approx(2.0, rel=1e-4)
    assert far / echo == pytest.approx(2.0, rel=1e-9)
    assert near == pytest.approx(1 / 50.0, rel=1e-4)


def test_tones_lose_what_the_standard_says():
    """The propagated magnitude is spreading times the tabulated absorption."""
    air, path = Air(10.0, 70.0), Path(0.0, 500.0, 1.0)
    heard = propagate(np.ones(8, complex), OCTAVES_HZ, path, air)
    loss_db = -20.0 * np.log10(np.abs(heard) * 500.0)
    np.testing.assert_allclose(loss_db, absorption_db_per_m(OCTAVES_HZ, air) * 500.0, rtol=1e-9)


def test_nothing_arrives_before_the_front():
    """Absorption with its dispersion is causal: a click 500 m away has no forerunner.

    Above the relaxation frequencies sound is up to 0.03 % faster, 0.45 ms at 500 m; what is
    left earlier than that is the viscous part, a blur of some 30 us.
    """
    rate_hz, count, at = 192_000, 2**15, 8000
    frequency_hz = np.fft.rfftfreq(count, 1.0 / rate_hz)
    heard = propagate(np.ones(len(frequency_hz), complex), frequency_hz, Path(0, 500.0, 1.0), Air())
    click = np.fft.irfft(heard * np.exp(-2j * np.pi * frequency_hz * at / rate_hz), count)
    front = at - round(0.55e-3 * rate_hz)
    assert np.argmax(np.abs(click)) > front
    assert np.max(np.abs(click[:front])) < 1e-4 * np.max(np.abs(click))


@pytest.mark.parametrize("air", [Air(), Air(-10.0, 30.0), Air(35.0, 90.0, 80.0)])
def test_higher_tones_are_faster(air):
    """Causality (Kramers-Kronig): where air absorbs by relaxation, phase speed rises."""
    frequency_hz = np.geomspace(20.0, 100_000.0, 60)
    heard = propagate(np.ones(60, complex), frequency_hz, Path(0.0, 1.0, 1.0), air)
    advance_s = np.angle(heard) / (2.0 * np.pi * frequency_hz)
    assert np.all(np.diff(advance_s) > 0.0)


def test_wind_changes_the_travel_time_by_its_component():
    """Downwind r/(c+w), upwind r/(c-w), across r/sqrt(c^2-w^2): the exact uniform-wind times."""
    air = Air(temperature_c=8.0, wind_mps=6.0, wind_from_deg=270.0)
    c = sound_speed_mps(8.0)
    origin = (0.0, 0.0, 0.0)
    assert travel_s(origin, (400.0, 0.0, 0.0), air) == pytest.approx(400 / (c + 6.0), rel=1e-12)
    assert travel_s((400.0, 0.0, 0.0), origin, air) == pytest.approx(400 / (c - 6.0), rel=1e-12)
    across = 400 / math.sqrt(c**2 - 36.0)
    assert travel_s(origin, (0.0, 400.0, 0.0), air) == pytest.approx(across, rel=1e-12)


def test_a_wall_mirrors_the_source():
    """The echo is as long as the line from the mirrored source, and as late in still air."""
    wall = Wall((0.0, 100.0), (200.0, 100.0), 0.6)
    source, receiver, air = (40.0, 20.0, 1.5), (160.0, 60.0, 6.0), Air()
    direct, echo = paths(source, receiver, air, [wall], 0.0)
    assert direct.length_m == pytest.approx(math.dist(source, receiver))
    assert (direct.gain, echo.gain) == (1.0, 0.6)
    mirrored = (40.0, 180.0, 1.5)
    assert echo.length_m == pytest.approx(math.dist(mirrored, receiver))
    assert echo.travel_s == pytest.approx(echo.length_m / sound_speed_mps(15.0))


@pytest.mark.parametrize(
    ("source", "receiver", "why"),
    [
        ((40.0, 20.0, 1.0), (160.0, 120.0, 1.0), "on the other side"),
        ((240.0, 20.0, 1.0), (260.0, 60.0, 1.0), "past the end"),
        ((40.0, 100.0, 1.0), (160.0, 60.0, 1.0), "in the wall"),
    ],
)
def test_a_wall_gives_no_echo_where_none_can_be(source, receiver, why):
    """A specular point must lie within the wall, and both ends on one side of it."""
    wall = Wall((0.0, 100.0), (200.0, 100.0), 0.6)
    assert len(list(paths(source, receiver, Air(), [wall], 0.0))) == 1, why


def test_the_ground_mirrors_the_source():
    """The ground echo of a low source comes 2 z1 z2 / r / c late, as the textbook has it."""
    direct, echo = paths((0.0, 0.0, 1.5), (300.0, 0.0, 6.0), Air(), [], 0.4)
    assert echo.length_m == pytest.approx(math.dist((0.0, 0.0, -1.5), (300.0, 0.0, 6.0)))
    late_s = 2 * 1.5 * 6.0 / 300.0 / sound_speed_mps(15.0)
    assert echo.travel_s - direct.travel_s == pytest.approx(late_s, rel=1e-3)
