"""`earshot devices`: which microphones, receivers and pulses this computer has, as settings."""

import argparse
import json
from dataclasses import asdict
from typing import Any

from agent.errors import MicrophoneError


def add_commands(commands: Any) -> None:
    """Add the command to argparse's subparsers."""
    parser = commands.add_parser(
        "devices", help="list microphones, receivers and pulses, as they stand in the settings"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(command=_devices)


def _devices(arguments: argparse.Namespace) -> int:
    from agent.adapters.microphone.devices import sound_devices
    from agent.adapters.peripherals import pulses, serial_lines

    trouble = ""
    try:
        sound = sound_devices()
    except MicrophoneError as error:
        sound, trouble = [], str(error)
    lines, marks = serial_lines(), list(pulses())
    if arguments.json:
        told = {
            "microphones": [asdict(one) for one in sound],
            "receivers": [asdict(one) for one in lines],
            "pulses": [asdict(one) for one in marks],
            "trouble": trouble,
        }
        print(json.dumps(told, indent=2))
        return 1 if trouble else 0
    print("microphones (audio.source)")
    for device in sound:
        rates = ", ".join(map(str, device.rates_hz)) or "in use by a program"
        default = ", the default" if device.is_default else ""
        print(f'  "portaudio:{_bare(device.setting)}"')
        print(f"      {device.name}{default}: {device.channels} channel(s); Hz: {rates}")
    if not sound:
        print(f"  none: {trouble or 'plug one in'}")
    print("serial lines, one of which may be a receiver's (time.receiver)")
    for line in lines:
        print(f'  "{line.setting}"  {line.name}')
    if not lines:
        print("  none: plug the receiver in")
    print("pulses (time.pps_device)")
    for mark in marks:
        print(f'  "{mark.setting}"  {mark.name}')
    if not marks:
        print("  none: the line dtoverlay=pps-gpio in config.txt makes one")
    return 1 if trouble else 0


def _bare(setting: str) -> str:
    return setting.removeprefix("portaudio:")
