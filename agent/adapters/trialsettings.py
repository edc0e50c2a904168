"""The settings of one run: the technician's file, what came from afar, and what worked last.

Operators' changes lie in a file of their own beside the store: the technician's stays his. One run
tries them; it keeps them once it has proved itself, and else the next run has the settings before.
The technician's file is tried too: where it has faults, or cannot be run, the text that worked last
counts, for a typo must not darken a node. What "proved" means is `app.commanddesk`'s matter.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent import durable
from agent.core.records.remote_records import MAX_REASON_LETTERS, ConfigChange
from agent.errors import SettingsError
from agent.sections import StoreSection
from agent.settings import Settings, parse, read

_NAME = "remote-settings.json"
_LAST_GOOD = "last-good-settings.json"
_DIRECTORY = re.compile(r"""(?m)^\s*(?:store\.)?directory\s*=\s*["']([^"'\n]+)["']""")


class _Remote(msgspec.Struct, kw_only=True):
    """The file: values by name, `trial` over `kept`, and whether a run has begun to try them.

    `was_locked`: the clock was, before the trial. `failure`: what the run that tried them said.
    """

    kept: dict[str, Any] = msgspec.field(default_factory=dict)
    trial: dict[str, Any] | None = None
    is_begun: bool = False
    was_locked: bool = False
    failure: str = ""

    @property
    def wanted(self) -> dict[str, Any]:
        return {**self.kept, **(self.trial or {})}


class _LastGood(msgspec.Struct, frozen=True, kw_only=True):
    """The text of the settings file `base` that a run has proved."""

    base: str
    text: str


class TrialSettings:
    """The settings of one run: the file `base`, and over it what operators changed.

    `trouble` tells that the file is not in effect and why, `fault` only why; with `distrusted` it
    is that reason, found by the run before. Raises SettingsError for a fault of `base` where
    nothing has worked before, or where the state directory cannot be written.
    """

    def __init__(self, base: Path, distrusted: str = "") -> None:
        self._base, self.fault, self.trouble, self.distrusted = base, "", "", ""
        self._text = self._plain(distrusted)
        self.settings = plain = parse(self._text, str(base))
        self._path = Path(plain.store.directory) / _NAME
        self._remote = self._read()
        self._news: list[ConfigChange] = []
        if self.trouble:
            self._news.append(_change(plain, plain, "reverted", self.trouble))
        if self._remote.trial is not None and self._remote.is_begun:
            failure = self._remote.failure or "the run that tried them did not last"
            self._news.append(self._take_back(failure, self._remote.kept))
        elif self._remote.trial is not None:
            self._remote.is_begun = True
            self._write()
        if not self._remote.wanted:
            return
        try:
            self.settings = self._with(self._remote.wanted)
        except SettingsError as error:
            why = f"they do not fit {base} any more: {error.faults[0]}"
            self._news.append(self._take_back(why, {}))
            self.settings = plain

    @property
    def file_sha256(self) -> str:
        """Digest of the text that is in effect, before what operators changed."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @property
    def is_on_trial(self) -> bool:
        """True while this run tries an operator's settings that have not proved themselves."""
        return self._remote.trial is not None and self._remote.is_begun

    @property
    def was_locked(self) -> bool:
        """Whether the clock was locked when what is on trial was proposed."""
        return self._remote.was_locked

    def propose(self, changes: dict[str, Any], *, was_locked: bool = False) -> ConfigChange:
        """Try `changes` from the next run on. Raises SettingsError."""
        if self.is_on_trial:
            raise SettingsError("set-config", ["other settings are on trial: wait a minute"])
        if not changes:
            raise SettingsError("set-config", ["changes nothing: name a setting and its value"])
        proposed = self._with({**self._remote.kept, **changes})
        if proposed == self.settings:
            raise SettingsError("set-config", ["changes nothing: these settings are in effect"])
        self._remote.trial, self._remote.is_begun = {**changes}, False
        self._remote.was_locked, self._remote.failure = was_locked, ""
        self._write()
        return _change(self.settings, proposed, "trying", _names(changes))

    def news(self) -> ConfigChange | None:
        """What became of the trial of an earlier run, each told once."""
        return self._news.pop(0) if self._news else None

    def settle(self) -> ConfigChange | None:
        """Keep what has proved itself in this run: the file's text, and what is on trial if
        anything is. Raises SettingsError.
        """
        if not self.trouble:
            self._keep_text()
        if not self.is_on_trial:
            return None
        tried, before = self._remote, self._with(self._remote.kept)
        self._remote = _Remote(kept=tried.wanted)
        self._write()
        return _change(before, self.settings, "kept", _names(tried.trial))

    def give_up(self, reason: str) -> bool:
        """This run has failed: whether the next one is to have other settings, those before.

        What operators changed goes first, then the technician's file, if another text has worked.
        Raises SettingsError.
        """
        if self.is_on_trial:
            self._remote.failure = reason[:MAX_REASON_LETTERS]
            self._write()
            return True
        held = self._last_good(self._text)
        if self.trouble or held is None or held == self._text:
            return False
        self.distrusted = reason
        return True

    def _plain(self, distrusted: str) -> str:
        """The text that counts: the file's, or else what worked last."""
        text = ""
        try:
            text = read(self._base)
            parse(text, str(self._base))
        except SettingsError as error:
            fault, held = _in_words(error.faults), self._last_good(text)
            if held is None:
                raise
        else:
            fault, held = distrusted, self._last_good(text) if distrusted else None
            if held is None:
                return text
        self.fault = fault
        self.trouble = f"{self._base} is not in effect, what worked last is: {fault}"
        return held

    def _last_good(self, text: str) -> str | None:
        """What worked last of this file, wherever a store of it may lie; None if it never did."""
        for home in _homes(text):
            held = _held_in(home)
            if held and held.base == str(self._base.absolute()):
                with suppress(SettingsError):  # of other software, that knew other settings
                    parse(held.text, str(self._base))
                    return held.text
        return None

    def _keep_text(self) -> None:
        held = _LastGood(base=str(self._base.absolute()), text=self._text)
        for home in dict.fromkeys([self._path.parent, *_state_directories()]):
            if _held_in(home) != held:
                _replace(home / _LAST_GOOD, held)

    def _with(self, changes: Mapping[str, Any]) -> Settings:
        return parse(self._text, str(self._base), changes)

    def _take_back(self, reason: str, kept: dict[str, Any]) -> ConfigChange:
        before = self.settings
        with suppress(SettingsError):
            before = self._with(self._remote.wanted)
        self._remote = _Remote(kept=kept)
        self._write()
        return _change(before, self._with(kept), "reverted", reason)

    def _read(self) -> _Remote:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Remote)
        except FileNotFoundError:
            return _Remote()
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            self._path.unlink(missing_ok=True)  # half a file tells nothing: the technician's counts
            return _Remote()

    def _write(self) -> None:
        _replace(self._path, self._remote)


def _replace(path: Path, content: msgspec.Struct) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.replace(path, msgspec.json.encode(content), 0o600)
    except OSError as error:
        raise SettingsError(str(path), [f"cannot be written: {error.strerror}"]) from None


def _held_in(home: Path) -> _LastGood | None:
    try:
        return msgspec.json.decode((home / _LAST_GOOD).read_bytes(), type=_LastGood)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None


def _homes(text: str) -> Iterator[Path]:
    """Where the store of a settings file may be, though its text may be broken."""
    yield from (Path(name) for name in _DIRECTORY.findall(text))
    yield from _state_directories()
    yield Path(StoreSection().directory)


def _state_directories() -> list[Path]:
    """What systemd gives the unit to keep, whatever the settings say."""
    return [Path(name) for name in os.environ.get("STATE_DIRECTORY", "").split(":") if name]


def _in_words(faults: list[str]) -> str:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"


def _names(changes: Mapping[str, Any] | None) -> str:
    return ", ".join(sorted(changes or ()))


def _change(before: Settings, after: Settings, outcome: Any, reason: str) -> ConfigChange:
    return ConfigChange(
        before=before.digest(),
        after=after.digest(),
        outcome=outcome,
        reason=reason[:MAX_REASON_LETTERS],
    )
