"""Every error a person can meet, drawn as one tree.

    EarshotError
    ├── SettingsError      the configuration file
    ├── AudioError         the microphone or a sound file
    │   └── MicrophoneError    a device, with its condition in a word
    ├── TimeError          a source of time
    ├── KeyFileError       a key on disk
    ├── TokenError         a key in a security token
    ├── PanelError         lights, button and contact
    ├── StateError         what a running node shows
    ├── StoreError         the outbox or another store on disk
    │   └── FullStore      there is no room in it
    ├── ExportError        a file of exported records
    ├── EnrolmentError     a request to be enrolled, or the answer to it
    ├── LinkError          the broker or the way to it
    └── RecordError        bytes that claim to be a record or a receipt
        ├── MalformedRecord
        └── ForgedRecord
The simulator adds `DatasetError` and `ScenarioError` below `EarshotError`.
Each message is one line that names the thing and the remedy; commands print it and exit 2.
"""


class EarshotError(Exception):
    """One line for a person: what is wrong, where, and what to do about it."""

    exit_code = 2


class SettingsError(EarshotError):
    """The settings file is wrong; `faults` holds every fault found, not just the first."""

    def __init__(self, where: str, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"{where}: " + "; ".join(faults))


class AudioError(EarshotError):
    """A microphone or a sound file cannot be used."""


class MicrophoneError(AudioError):
    """A sound device that cannot be heard; `condition` is a MicrophoneCondition of `core.audio`."""

    def __init__(self, condition: str, told: str) -> None:
        self.condition = condition
        super().__init__(told)


class TimeError(EarshotError):
    """A receiver, a pulse or a clock cannot be used."""


class KeyFileError(EarshotError):
    """A key file is missing, unreadable, of the wrong kind or open to others."""


class TokenError(EarshotError):
    """A security token, or the key in it, is missing, locked or fails; or its URI is wrong."""


class PanelError(EarshotError):
    """A pin of the panel cannot be used."""


class StateError(EarshotError):
    """The running node's state cannot be read; usually there is no running node."""


class StoreError(EarshotError):
    """A store on disk cannot be opened, or does not belong to this node."""


class FullStore(StoreError):
    """There is no room for more, in the store or on its disk."""


class ExportError(EarshotError):
    """A file of exported records cannot be read or holds none."""


class EnrolmentError(EarshotError):
    """A request to be enrolled, or the answer to it, is refused."""


class LinkError(EarshotError):
    """The broker cannot be reached or refuses this node."""


class RecordError(EarshotError):
    """Bytes that claim to be a record, and are not one to be trusted."""


class MalformedRecord(RecordError):
    """Not a well-formed envelope or body."""


class ForgedRecord(RecordError):
    """Well formed, but the signature, the key or the claimed origin is wrong."""
