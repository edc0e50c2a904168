"""A recording of any kind, and the minute of background that is made for it."""

import numpy as np
import pytest
import soundfile

from agent.errors import AudioError
from simulator.scene.lead_in import LEAD_IN_S, Recording, read_recording, with_lead_in

RATE_HZ = 16_000
RNG = np.random.default_rng(5)
STREET = RNG.normal(40.0, 120.0, 3 * RATE_HZ).astype(np.int16)


def lead_in_of(samples, rate_hz=RATE_HZ):
    total = with_lead_in(Recording(samples, rate_hz), np.random.default_rng(1))
    assert len(total) == LEAD_IN_S * rate_hz + len(samples)
    return total[: LEAD_IN_S * rate_hz], total[LEAD_IN_S * rate_hz :]


def test_the_recording_is_kept_but_for_a_millisecond():
    """Clips may begin with the shot, so hardly anything of them may be faded."""
    _, kept = lead_in_of(STREET)
    np.testing.assert_array_equal(kept[RATE_HZ // 1000 :], STREET[RATE_HZ // 1000 :])


def test_the_lead_in_sounds_like_the_quiet_part_only():
    """Level and mean are those of the background; a shot in the recording is not in it."""
    with_shot = STREET.copy()
    with_shot[20_000:24_000] = RNG.normal(0.0, 9_000.0, 4_000)
    lead_in, _ = lead_in_of(with_shot)
    assert np.std(lead_in) == pytest.approx(120.0, rel=0.1)
    assert np.mean(lead_in) == pytest.approx(40.0, abs=8.0)
    assert np.max(np.abs(lead_in - 40.0)) < 6.5 * 120.0


def test_digital_silence_is_no_background():
    """Zero padding is quieter than any street, and is not taken for one."""
    padded = np.concatenate((np.zeros(RATE_HZ, np.int16), STREET))
    assert np.std(lead_in_of(padded)[0]) == pytest.approx(120.0, rel=0.1)


@pytest.mark.parametrize("length", [800, 1_000, 5_000])
def test_recordings_may_be_very_short(length):
    """A twentieth of a second is enough to make a minute of."""
    lead_in, _ = lead_in_of(STREET[:length])
    assert np.std(lead_in) == pytest.approx(120.0, rel=0.3)


@pytest.mark.parametrize(("subtype", "left"), [("PCM_16", 0), ("PCM_24", 16), ("PCM_32", 16)])
def test_any_width_of_sample_comes_out_at_the_same_level(tmp_path, subtype, left):
    """24 and 32 bits are rounded to 16."""
    path = tmp_path / "street.wav"
    soundfile.write(path, STREET.astype(np.int32) << left if left else STREET, RATE_HZ, subtype)
    recording = read_recording(path)
    assert recording.rate_hz == RATE_HZ
    np.testing.assert_array_equal(recording.samples, STREET)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros(RATE_HZ, np.int16), "holds nothing but silence"),
        (np.full(RATE_HZ, 90, np.int16), "holds nothing but silence"),
        (STREET[:799], r"lasts 799 samples, need 0\.05 s"),
    ],
)
def test_what_holds_no_sound_is_refused(tmp_path, samples, fault):
    """Silence and snippets are broken recordings; the line names file and fault."""
    path = tmp_path / "broken.wav"
    soundfile.write(path, samples, RATE_HZ)
    with pytest.raises(AudioError, match=rf"broken\.wav: {fault}"):
        read_recording(path)
