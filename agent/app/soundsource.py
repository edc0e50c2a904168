"""The microphone that the settings ask for; a part of the composition root."""

from functools import partial
from pathlib import Path

from agent.adapters.microphone import EnduringMicrophone, FileMicrophone, open_portaudio
from agent.core.audio import AudioFormat
from agent.ports import AudioSource, HostClock
from agent.settings import AudioSection


def sound_source(audio: AudioSection, clock: HostClock) -> AudioSource:
    """A file, which must be there (AudioError), or a device, which may come and go."""
    kind, _, name = audio.source.partition(":")
    full_scale_db_spl = audio.full_scale_db_spl
    if kind == "file":
        return FileMicrophone(
            Path(name),
            audio.block_samples,
            clock,
            full_scale_db_spl=full_scale_db_spl,
            pps_channel=audio.pps_channel,
        )
    open_device = partial(
        open_portaudio,
        name,
        audio.rate_hz,
        audio.block_samples,
        clock,
        full_scale_db_spl=full_scale_db_spl,
        pps_channel=audio.pps_channel,
        buffer_ms=audio.buffer_ms,
    )
    promised = AudioFormat(audio.rate_hz, full_scale_db_spl, audio.buffer_ms)
    return EnduringMicrophone(open_device, promised, clock)
