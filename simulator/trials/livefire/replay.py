"""The dataset as a fleet of virtual nodes: one per recording, one cell per test.

A node gets what a real one has: sound with the answer taken out of its padding, UTC marks, the
air's temperature, and a board with faults of its own. Sound is made when the node is run.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from simulator.grid.grid import NodePlan
from simulator.grid.hardware import Board, Hardware, RecordedAudio, assemble
from simulator.scene.randomness import stream
from simulator.trials.livefire.dataset import RATE_HZ, Recording, Test
from simulator.trials.livefire.neutralise import neutralise
from simulator.trials.livefire.sites import Site, valid_name

_BLOCK_SAMPLES = 512
_MAX_HOST_PPM = 25.0
_DELAY_MEAN_US = (200.0, 3000.0)


def plans(
    tests: Sequence[Test], sites: Mapping[str, Site], seed: int, *, blank: bool = False
) -> Iterator[NodePlan]:
    """A plan per recording, test by test. `blank` replaces every excerpt: the null control."""
    for test in tests:
        for recording in test.recordings:
            place = sites[test.position].sensor(test, recording.sensor)
            yield NodePlan(
                site=valid_name(test.position),
                cell=valid_name(test.name),
                node=valid_name(recording.sensor),
                enu_m=place.enu_m,
                sigma_m=place.sigma_m,
                hardware=partial(_hardware, test, recording, seed, blank),
            )


def _hardware(test: Test, recording: Recording, seed: int, blank: bool) -> Hardware:
    neutral = neutralise(recording, seed, blank=blank)
    sound = RecordedAudio(neutral.samples, RATE_HZ, neutral.start_utc_ns)
    name = f"{test.name} {recording.sensor}"
    return assemble(sound, _board(recording.sensor, seed), name, seed, test.temperature_c)


def _board(sensor: str, seed: int) -> Board:
    """The same board for a sensor in every test."""
    rng = stream(seed, "live-fire board", sensor)
    return Board(
        block_samples=_BLOCK_SAMPLES,
        host_ppm=float(rng.uniform(-_MAX_HOST_PPM, _MAX_HOST_PPM)),
        delay_mean_us=float(rng.uniform(*_DELAY_MEAN_US)),
    )
