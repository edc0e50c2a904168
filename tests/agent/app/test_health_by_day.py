"""What a node finds out about its microphone from what it heard in a day."""

import pytest
from scipy.signal import butter, sosfilt

from agent.core.audio import AudioGap
from agent.core.units import NS_PER_S
from tests.agent.app.test_health import RATE_HZ, Post, street
from tests.support import deafness as made
from tests.support.sound import add_blast


@pytest.mark.parametrize("is_narrow", [True, False])
def test_a_microphone_that_lacks_a_part_of_the_band_is_told_after_a_day(is_narrow: bool) -> None:
    """Three bangs an hour are enough: through a narrow band they are told as out of range; what a
    whole microphone hears is not."""
    post, narrow = Post(), butter(8, (400, 2600), "bandpass", fs=RATE_HZ, output="sos")
    post.hear(street(20.0))
    for hour in range(14):
        for minute in (5, 15, 25):
            lost = (60 * hour + minute) * 60 * RATE_HZ - post.sample
            post.host_ns += lost * NS_PER_S // RATE_HZ
            post.node.step(AudioGap(post.sample, lost, post.host_ns, "asleep"))
            post.sample += lost
            wave = made.street(2.5, RATE_HZ, seed=60 * hour + minute)
            add_blast(wave, 1.5 * RATE_HZ, 0.1, rate_hz=RATE_HZ)
            post.hear(sosfilt(narrow, wave) if is_narrow else wave)
    post.hear(street(70.0))
    found = {"out-of-range": ("warning", "capsule or sound device")}
    told = {name: one for name, one in post.told().items() if name == "out-of-range"}
    assert told == (found if is_narrow else {})
    assert ("out-of-range" in post.state_faults()) == is_narrow
