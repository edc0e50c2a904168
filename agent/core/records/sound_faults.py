"""The faults of what a node hears with: microphone, sound device, hearing, clock and place."""

from agent.core.records.faults import Fault

FAULT_OF_MICROPHONE = {
    "absent": "microphone-absent",
    "ambiguous": "microphone-ambiguous",
    "busy": "microphone-busy",
    "refused": "microphone-refused",
    "unplugged": "microphone-unplugged",
    "stuck": "microphone-hung",
    "broken": "sound-system-broken",
}
"""The fault that each condition of a microphone (`core.audio`) is, but `hearing`, which is none."""

SOUND_FAULTS: dict[str, Fault] = {
    # What the sound device does.
    "microphone-absent": Fault(
        "microphone",
        "critical",
        "The sound device is not there.",
        "microphone plug",
        "Plug the microphone in; `earshot devices` lists what is there. "
        "If it is, check audio.source.",
    ),
    "microphone-busy": Fault(
        "microphone",
        "critical",
        "Another program holds the sound device.",
        "other program",
        "Stop the program that records from it (`fuser -v /dev/snd/*` names it).",
    ),
    "microphone-ambiguous": Fault(
        "microphone",
        "critical",
        "Several sound devices have the name that is asked for.",
        "settings",
        "Name it in audio.source by its port, as `earshot devices` shows it.",
    ),
    "microphone-refused": Fault(
        "microphone",
        "critical",
        "The sound device takes no such rate, channels or samples.",
        "settings",
        "Set audio.rate_hz to one that it takes (`earshot devices`), or use another device.",
    ),
    "microphone-unplugged": Fault(
        "microphone",
        "critical",
        "The sound device went away while it was heard.",
        "microphone plug",
        "Check the plug and the USB cable; it is heard again as soon as it is back.",
    ),
    "sound-system-broken": Fault(
        "microphone",
        "critical",
        "The host's sound system fails as a whole.",
        "software",
        "Mend or remove /etc/asound.conf; install libportaudio2.",
    ),
    "microphone-hung": Fault(
        "microphone",
        "critical",
        "The sound device gives no sound, and no error.",
        "microphone plug",
        "Unplug the microphone for 5 s and plug it in again; replace it if that recurs.",
    ),
    "microphone-failed": Fault(
        "microphone",
        "critical",
        "The sound device cannot be opened or read.",
        "microphone plug",
        "Check the plug and audio.source; `earshot devices` lists what is there and its rates.",
    ),
    # What the sound itself says.
    "digital-silence": Fault(
        "microphone",
        "critical",
        "Every sample is zero: no microphone is live in nature.",
        "microphone cable",
        "Check the plug between capsule and sound device, and that the input is not muted.",
    ),
    "stuck-value": Fault(
        "microphone",
        "critical",
        "Every sample has the same value.",
        "sound device",
        "Unplug the sound device for 5 s; replace it if the value is still stuck.",
    ),
    "stuck-at-rail": Fault(
        "microphone",
        "critical",
        "The input lies at the end of its range.",
        "microphone capsule",
        "Check for water in capsule and plug and for a shorted supply; replace the capsule.",
    ),
    "hum-only": Fault(
        "microphone",
        "critical",
        "Nothing but mains hum is heard.",
        "microphone cable",
        "The signal wire is open or the shield is off: check both ends of the cable.",
    ),
    "no-noise-floor": Fault(
        "microphone",
        "critical",
        "Even the faint noise that every capsule makes is missing.",
        "microphone capsule",
        "The capsule is dead or has no supply: check the bias supply, replace the capsule.",
    ),
    "clipping": Fault(
        "microphone",
        "warning",
        "Ordinary sound reaches the end of the range.",
        "input gain",
        "Lower the input gain (`alsamixer`), then calibrate the level again.",
    ),
    "out-of-range": Fault(
        "microphone",
        "warning",
        "Nearly all that is heard lacks a part of the band that the model listens to.",
        "capsule or sound device",
        "Use a capsule and a sound device that pass 80 Hz to 5.4 kHz, without noise suppression, "
        "gain control or speech codec; until then no score of this node is sure.",
    ),
    "wind": Fault(
        "wind",
        "warning",
        "Wind in the microphone covers the street for hours.",
        "windscreen",
        "Check that the windscreen is in place, dry and whole.",
    ),
    "level-fell": Fault(
        "level",
        "warning",
        "The street has become quieter than it ever is at these hours.",
        "windscreen and capsule",
        "Look for water, insects, ice or paint before the capsule, and at the input gain.",
    ),
    "level-rose": Fault(
        "level",
        "warning",
        "The street has become louder than it ever is at these hours.",
        "input gain",
        "Look for a new source of noise nearby, and at the input gain.",
    ),
    "wrong-rate": Fault(
        "rate",
        "critical",
        "The sound device does not convert at the rate it claims.",
        "sound device",
        "Set audio.rate_hz to a rate that it really has (`earshot devices`), or replace it.",
    ),
    "lost-sound": Fault(
        "lost sound",
        "warning",
        "Sound was lost on its way to the agent.",
        "USB cable",
        "Check the USB cable and hub, and what else keeps this computer busy.",
    ),
    "deaf": Fault(
        "hearing",
        "critical",
        "The node does not hear a synthetic blast in its own sound path.",
        "software",
        "Install the agent anew: its model or code is damaged. `earshot check --self-test` "
        "repeats the test.",
    ),
    "model-scores-nothing": Fault(
        "hearing",
        "critical",
        "The model passes no shot at all.",
        "software",
        "Install the agent anew: the file of the model is damaged or of another version.",
    ),
    # Time and place.
    "no-time": Fault(
        "clock",
        "critical",
        "The node does not know the time.",
        "antenna",
        "See `earshot time`: it names what is missing and what to do.",
    ),
    "time-coasting": Fault(
        "clock",
        "warning",
        "The time rests on the crystal alone.",
        "antenna",
        "See `earshot time`: no good mark comes now.",
    ),
    "time-doubted": Fault(
        "clock",
        "warning",
        "Something speaks against the time.",
        "receiver",
        "See `earshot time`: it says what.",
    ),
    "moved": Fault(
        "position",
        "warning",
        "The receiver places itself away from the surveyed place.",
        "mounting",
        "Restart the agent if the node was moved; else suspect spoofing.",
    ),
}
