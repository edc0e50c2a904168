"""Settings changed from afar, in a file of their own beside the store: the technician's stays his.

What is proposed is tried by one run. If that run lasts, it is kept; if the run after it finds it
still on trial, it is taken back, so that no settings can keep a node from coming back.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent import durable
from agent.core.records.remote_records import MAX_REASON_LETTERS, ConfigChange
from agent.errors import SettingsError
from agent.settings import Settings, load

_NAME = "remote-settings.json"


class _Remote(msgspec.Struct, kw_only=True):
    """The file: values by name, `trial` over `kept`, and whether a run has begun to try them."""

    kept: dict[str, Any] = msgspec.field(default_factory=dict)
    trial: dict[str, Any] | None = None
    is_begun: bool = False

    @property
    def wanted(self) -> dict[str, Any]:
        return {**self.kept, **(self.trial or {})}


class TrialSettings:
    """The settings of one run: the file `base`, and over it what operators changed.

    Raises SettingsError for a fault of `base`, or where the state directory cannot be written.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self.settings = plain = load(base)
        self._path = Path(plain.store.directory) / _NAME
        self._remote = self._read()
        self._news: ConfigChange | None = None
        if self._remote.trial is not None and self._remote.is_begun:
            self._take_back("the run that tried them did not last", self._remote.kept)
        elif self._remote.trial is not None:
            self._remote.is_begun = True
            self._write()
        if not self._remote.wanted:
            return
        try:
            self.settings = load(base, self._remote.wanted)
        except SettingsError as error:
            self._take_back(f"they do not fit {base} any more: {error.faults[0]}", {})
            self.settings = plain

    @property
    def is_on_trial(self) -> bool:
        """True while this run tries settings that have not proved themselves."""
        return self._remote.trial is not None and self._remote.is_begun

    def propose(self, changes: dict[str, Any]) -> ConfigChange:
        """Try `changes` from the next run on. Raises SettingsError."""
        if self.is_on_trial:
            raise SettingsError("set-config", ["other settings are on trial: wait a minute"])
        if not changes:
            raise SettingsError("set-config", ["changes nothing: name a setting and its value"])
        proposed = load(self._base, {**self._remote.kept, **changes})
        if proposed == self.settings:
            raise SettingsError("set-config", ["changes nothing: these settings are in effect"])
        self._remote.trial, self._remote.is_begun = {**changes}, False
        self._write()
        return _change(self.settings, proposed, "trying", _names(changes))

    def news(self) -> ConfigChange | None:
        """What became of the trial of an earlier run, told once."""
        news, self._news = self._news, None
        return news

    def settle(self) -> ConfigChange | None:
        """Keep what is on trial in this run, if anything is. Raises SettingsError."""
        if not self.is_on_trial:
            return None
        tried, before = self._remote, load(self._base, self._remote.kept)
        self._remote = _Remote(kept=tried.wanted)
        self._write()
        return _change(before, self.settings, "kept", _names(tried.trial))

    def _take_back(self, reason: str, kept: dict[str, Any]) -> None:
        before = self.settings
        with suppress(SettingsError):
            before = load(self._base, self._remote.wanted)
        self._remote = _Remote(kept=kept)
        self._write()
        self._news = _change(before, load(self._base, kept), "reverted", reason)

    def _read(self) -> _Remote:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Remote)
        except FileNotFoundError:
            return _Remote()
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            self._path.unlink(missing_ok=True)  # half a file tells nothing: the technician's counts
            return _Remote()

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            durable.replace(self._path, msgspec.json.encode(self._remote), 0o600)
        except OSError as error:
            told = f"cannot be written: {error.strerror}"
            raise SettingsError(str(self._path), [told]) from None


def _names(changes: Mapping[str, Any] | None) -> str:
    return ", ".join(sorted(changes or ()))


def _change(before: Settings, after: Settings, outcome: Any, reason: str) -> ConfigChange:
    return ConfigChange(
        before=before.digest(),
        after=after.digest(),
        outcome=outcome,
        reason=reason[:MAX_REASON_LETTERS],
    )
