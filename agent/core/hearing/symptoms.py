"""What a minute of looks says of the microphone: each fault by what it does to sound.

The thresholds were set on recordings of streets, sirens, weather and machines that are not those
of the tests (505 free clips, 8 000 looks), on simulated streets, and on what broken inputs do.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, pstdev

from agent.core.hearing.look import BAND_EDGES_HZ, Look

NOTHING_BELOW_DBFS = -70.0
_RAIL = 0.9
_GATED_TURNS = 3
_HUM_ONLY_DB = 20.0  # the loudest of 8 000 looks at sirens and machines: 25; then for seconds
_HUM_STEADY_DB = 1.0
_STEPS = 0.7  # two neighbouring values by chance: 0.5
_WHITE_DB_PER_OCTAVE = 3.01
_WHITE_WITHIN_DB = 1.5
_RUMBLE_DB = 10.0
_STEADY_DB = 0.5  # Gaussian noise of a look: 0.1; the calmest recorded weather: 0.6
_WIND_OVER_DB = 30.0  # a gusty pole: 20
_WIND_FROM_DBFS = -45.0
_LOWEST, _OCTAVES = 0, slice(3, 7)
_RUMBLE = BAND_EDGES_HZ.index(60.0)
_STREET = slice(4, 6)
_BESIDE_HUM = BAND_EDGES_HZ.index(2000.0)

Looks = Sequence[Look]


def share(looks: Looks, is_so: Callable[[Look], bool]) -> float:
    """Of how many of them it is so."""
    return sum(map(is_so, looks)) / len(looks)


def is_zero(one: Look) -> bool:
    """Digital silence."""
    return one.is_constant and one.offset == 0.0


def is_stuck(one: Look) -> bool:
    """One value that is neither zero nor an end of the range."""
    return one.is_constant and 0.0 < abs(one.offset) < _RAIL


def is_at_rail(one: Look) -> bool:
    """The input lies at an end of its range, with or without some noise on it."""
    return abs(one.offset) >= _RAIL


def is_hum(one: Look) -> bool:
    """Harmonics of the mains, and next to nothing between them."""
    return not one.is_constant and one.hum_db > _HUM_ONLY_DB


def is_gated(looks: Looks) -> float:
    """1.0 where sound comes and goes to nothing at all: a device that shuts off what is quiet."""
    turns = sum(one.is_constant != other.is_constant for one, other in pairwise(looks))
    return float(turns >= _GATED_TURNS)


def is_hum_only(looks: Looks) -> float:
    """Share of hum, where what is left beside it is as steady as a converter, and no street."""
    beside = [one.bands_db[_BESIDE_HUM] for one in looks if is_hum(one)]
    return len(beside) / len(looks) if beside and pstdev(beside) < _HUM_STEADY_DB else 0.0


def is_dead(looks: Looks) -> float:
    """1.0 where all that is heard is the converter: a step or two, or faint steady white noise."""
    heard = [one for one in looks if not one.is_constant]
    if not heard or fmean(one.level_db for one in heard) > NOTHING_BELOW_DBFS:
        return 0.0
    if share(heard, lambda one: one.steps < _STEPS) > 0.5:
        return 1.0
    return float(pstdev([one.level_db for one in heard]) < _STEADY_DB and _is_white(heard))


def is_windy(one: Look) -> bool:
    """Rumble that covers the street."""
    if one.is_constant or is_hum(one):
        return False
    rumble = one.bands_db[_LOWEST]
    return rumble > _WIND_FROM_DBFS and rumble - max(one.bands_db[_STREET]) > _WIND_OVER_DB


def _is_white(looks: Looks) -> bool:
    """Every octave 3 dB over the one below, and no traffic under them."""
    octaves = list(zip(*(one.bands_db for one in looks), strict=True))
    levels = [fmean(one) for one in octaves[_OCTAVES]]
    flat = [level - _WHITE_DB_PER_OCTAVE * number for number, level in enumerate(levels)]
    centre = fmean(flat)
    rumble = fmean(octaves[_RUMBLE]) - centre + _WHITE_DB_PER_OCTAVE * 2
    return max(abs(one - centre) for one in flat) < _WHITE_WITHIN_DB and rumble < _RUMBLE_DB


SYMPTOMS: dict[str, tuple[Callable[[Looks], float], float]] = {
    "digital-silence": (lambda looks: share(looks, is_zero), 0.8),
    "stuck-value": (lambda looks: share(looks, is_stuck), 0.8),
    "stuck-at-rail": (lambda looks: share(looks, is_at_rail), 0.8),
    "hum-only": (is_hum_only, 0.8),
    "no-noise-floor": (lambda looks: max(is_dead(looks), is_gated(looks)), 0.8),
    "clipping": (lambda looks: share(looks, lambda one: one.is_clipped), 0.6),
    "wind": (lambda looks: share(looks, is_windy), 0.6),
}
"""Fault, how much of it there is (0 to 1) in the latest looks, and how much is too much."""
