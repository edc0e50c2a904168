"""WGS 84 to local metres: east, north and up on the plane that touches the Earth at an origin.

Latitude and longitude in degrees, heights in metres above the ellipsoid. The way is through
Earth-centred coordinates (ECEF), with the formulas of NIMA TR8350.2 (2000) for the ellipsoid and
the rotation of ESA Navipedia, "Transformations between ECEF and ENU coordinates".
"""

import math
from collections.abc import Sequence

_SEMI_MAJOR_M = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_SQUARED = _FLATTENING * (2 - _FLATTENING)

Wgs84 = tuple[float, float, float]
Metres = tuple[float, float, float]


def enu_m(place: Wgs84, origin: Wgs84) -> Metres:
    """East, north and up of `place` from `origin`: a straight line, however far."""
    latitude, longitude = math.radians(origin[0]), math.radians(origin[1])
    sin_lat, cos_lat = math.sin(latitude), math.cos(latitude)
    sin_lon, cos_lon = math.sin(longitude), math.cos(longitude)
    x, y, z = (one - other for one, other in zip(_ecef_m(place), _ecef_m(origin), strict=True))
    outward = cos_lon * x + sin_lon * y
    east = cos_lon * y - sin_lon * x
    return east, cos_lat * z - sin_lat * outward, cos_lat * outward + sin_lat * z


def middle(places: Sequence[Wgs84]) -> Wgs84:
    """The mean of `places`, also across the date line."""
    reference = places[0][1]
    eastward = [(place[1] - reference + 180.0) % 360.0 - 180.0 for place in places]
    longitude = reference + sum(eastward) / len(places)
    return (
        sum(place[0] for place in places) / len(places),
        (longitude + 180.0) % 360.0 - 180.0,
        sum(place[2] for place in places) / len(places),
    )


def _ecef_m(place: Wgs84) -> Metres:
    latitude, longitude = math.radians(place[0]), math.radians(place[1])
    sin_lat, cos_lat = math.sin(latitude), math.cos(latitude)
    normal_m = _SEMI_MAJOR_M / math.sqrt(1 - _ECCENTRICITY_SQUARED * sin_lat**2)
    from_axis_m = (normal_m + place[2]) * cos_lat
    return (
        from_axis_m * math.cos(longitude),
        from_axis_m * math.sin(longitude),
        (normal_m * (1 - _ECCENTRICITY_SQUARED) + place[2]) * sin_lat,
    )


def wgs84(place_m: Metres, origin: Wgs84) -> Wgs84:
    """The inverse of `enu_m`: two corrections with it leave less than a millimetre."""
    guess = origin
    for _ in range(4):
        east, north, up = (a - b for a, b in zip(place_m, enu_m(guess, origin), strict=True))
        radius_m = _SEMI_MAJOR_M + guess[2]
        parallel_m = radius_m * math.cos(math.radians(guess[0]))
        guess = (
            guess[0] + math.degrees(north / radius_m),
            guess[1] + math.degrees(east / parallel_m),
            guess[2] + up,
        )
    return guess
