"""Microphones: a sound file paced in real time, and a device through PortAudio.

Both read by blocking calls on the thread of the caller. PortAudio callbacks are avoided: they
need writable and executable memory, which a hardened service must not have. Nothing is
resampled or mixed here. What is not one channel of PCM is refused, save that of two channels
one (`pps_channel`) may carry a receiver's pulses, the other then the microphone.
"""

from agent.adapters.microphone.channels import PpsChannel
from agent.adapters.microphone.device import PortAudioMicrophone, open_portaudio
from agent.adapters.microphone.devices import SoundDevice, find_device, sound_devices
from agent.adapters.microphone.enduring import EnduringMicrophone
from agent.adapters.microphone.recording import FileMicrophone

__all__ = [
    "EnduringMicrophone",
    "FileMicrophone",
    "PortAudioMicrophone",
    "PpsChannel",
    "SoundDevice",
    "find_device",
    "open_portaudio",
    "sound_devices",
]
