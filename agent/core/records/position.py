"""The record kind that tells where a node is; how it is found out is `clock.survey`'s matter."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from agent.core.records.fields import Count, Frozen

Degrees = Annotated[float, Meta(ge=-180.0, le=180.0)]
PlaceEvent = Literal["surveyed", "hourly", "moved", "returned"]
NotNegative = Annotated[float, Meta(ge=0.0)]


class Position(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="position"):
    """The antenna's place: WGS 84, height above mean sea level, mean of `fixes` over `span_s`.

    `sigma_m` is the horizontal 1-sigma of that mean, the root of the sum of both axes' squares; the
    axes are told where they differ. `hourly` tells the last hour's mean,
    `surveyed` the place that counts from now on, `moved` and `returned` that fixes are
    `off_m` from it. It says to a metre where the node hangs: the link must be encrypted.
    """

    event: PlaceEvent
    latitude_deg: Degrees
    longitude_deg: Degrees
    height_m: float | None
    sigma_m: NotNegative
    fixes: Count
    span_s: Count
    off_m: NotNegative | None
    sigma_east_m: NotNegative | UnsetType = UNSET
    sigma_north_m: NotNegative | UnsetType = UNSET
