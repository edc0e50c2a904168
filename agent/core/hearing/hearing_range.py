"""How far a shot can be heard in this noise: an estimate in metres that a person can check.

A muzzle blast spreads as a sphere, air takes its share, a house in the way the rest:

    L(r) = L(1 m) - 20 lg(r / 1 m) - a (r - 1 m) - D

with a the absorption of ISO 9613-1:1993 (equations 3 to 5) at 1 kHz and D = 20 dB, the most that
ISO 9613-2:1996 (7.4) grants a single edge. It is heard as far as L(r) stands FOUND_DB over the
peak at which the gate opens in the present noise. Wind, ground and turbulence are left out: upwind
it is less.
"""

import math

REFERENCE_DB_SPL = 155.0
"""Peak at 1 m of the reference shot: what the packaged scenarios fire."""
SCREENING_DB = 20.0
FOUND_DB = 6.0
"""Half of the shots or more are found from there on: in simulated streets of 45, 58 and 72 dB."""
FARTHEST_M = 5000
USUAL_TEMPERATURE_C, USUAL_HUMIDITY_PCT = 15.0, 70.0
_AT_HZ = 1000.0
_T0_K, _TRIPLE_K = 293.15, 273.16


def hearing_range_m(opens_at_db_spl: float, temperature_c: float | None = None) -> int:
    """Metres to the farthest reference shot behind one house that opens the gate, 0 to 5000.

    `opens_at_db_spl` is the peak level of the faintest blast that does.
    """
    known_c = USUAL_TEMPERATURE_C if temperature_c is None else temperature_c
    loss_db_per_m = absorption_db_per_m(_AT_HZ, known_c, USUAL_HUMIDITY_PCT)
    near_m, far_m = 1.0, float(FARTHEST_M)
    spare_db = REFERENCE_DB_SPL - SCREENING_DB - FOUND_DB - opens_at_db_spl
    if spare_db < 0:
        return 0
    while far_m - near_m > 0.5:
        middle_m = (near_m + far_m) / 2
        if 20.0 * math.log10(middle_m) + loss_db_per_m * (middle_m - 1.0) <= spare_db:
            near_m = middle_m
        else:
            far_m = middle_m
    return round(near_m)


def absorption_db_per_m(frequency_hz: float, temperature_c: float, humidity_pct: float) -> float:
    """Pure-tone absorption of air at sea level, ISO 9613-1:1993 equations 3 to 5."""
    kelvin = temperature_c + 273.15
    warmth = kelvin / _T0_K
    saturation = math.pow(10.0, 4.6151 - 6.8346 * math.pow(_TRIPLE_K / kelvin, 1.261))
    vapour_pct = humidity_pct * saturation
    oxygen_hz = 24.0 + 4.04e4 * vapour_pct * (0.02 + vapour_pct) / (0.391 + vapour_pct)
    fall = math.exp(-4.170 * (math.pow(warmth, -1.0 / 3.0) - 1.0))
    nitrogen_hz = (9.0 + 280.0 * vapour_pct * fall) / math.sqrt(warmth)
    square = frequency_hz**2
    oxygen = 0.01275 * math.exp(-2239.1 / kelvin) / (oxygen_hz + square / oxygen_hz)
    nitrogen = 0.1068 * math.exp(-3352.0 / kelvin) / (nitrogen_hz + square / nitrogen_hz)
    classical = 1.84e-11 * math.sqrt(warmth)
    return 8.686 * square * (classical + (oxygen + nitrogen) / math.sqrt(warmth) ** 5)
