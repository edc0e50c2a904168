"""Tells the world how the belief about incidents changes: one GeoJSON feature for each of them."""

import json
from collections.abc import Callable
from typing import Any

from simulator.centre.locator.geodesy import Wgs84
from simulator.centre.locator.incident import Incident, to_geojson
from simulator.centre.locator.post import Letter
from simulator.centre.locator.windows import Revision


class Announcer:
    """Hands letters to `say`; metres begin at `origin_wgs84`. `failed` is told what cannot be."""

    def __init__(
        self,
        say: Callable[[Letter], None],
        origin_wgs84: Wgs84 | None,
        failed: Callable[[str], None],
    ) -> None:
        self._say, self._origin, self._failed = say, origin_wgs84, failed

    def announce(self, revision: Revision) -> None:
        """All that is new, different or withdrawn."""
        for incident in revision.changed:
            self._tell(incident, lambda one: to_geojson(one, self._origin))
        for incident in revision.withdrawn:
            self._tell(incident, _withdrawal)

    def _tell(self, incident: Incident, feature_of: Callable[[Incident], dict[str, Any]]) -> None:
        topic = f"earshot/v1/{incident.site}/{incident.cell}/incident"
        try:
            feature = feature_of(incident)
            payload = json.dumps(feature, separators=(",", ":"), allow_nan=False).encode()
        except Exception as error:
            self._failed(f"incident {incident.id} cannot be told: {error}")
            return
        self._say(Letter(topic, payload))


def _withdrawal(incident: Incident) -> dict[str, Any]:
    """A feature that takes back an incident: late records showed it in another light."""
    properties = {"site": incident.site, "cell": incident.cell, "status": "withdrawn"}
    return {"type": "Feature", "id": incident.id, "geometry": None, "properties": properties}
