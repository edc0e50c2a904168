"""Settings changed from afar: tried by one run, then kept or taken back, never a node's end."""

from pathlib import Path

import pytest

from agent.adapters.trialsettings import TrialSettings
from agent.errors import SettingsError

CHANGE = {"log.level": "debug"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The technician's file."""
    path = tmp_path / "node.toml"
    path.write_text(
        f"""
        node = {{ site = "town", cell = "north", id = "n1" }}
        broker.url = "mqtt://127.0.0.1"
        store.directory = "{tmp_path}/store"
        keys.locator_public = ["locator.pub.pem"]
        """
    )
    return path


def level(run: TrialSettings) -> str:
    return run.settings.log.level


def test_a_trial_that_lasts_is_kept(base: Path) -> None:
    """One run proposes, the next tries and settles, all later ones have it."""
    first = TrialSettings(base)
    trying = first.propose(CHANGE)
    second = TrialSettings(base)
    assert (level(first), level(second)) == ("info", "debug")
    assert second.is_on_trial
    kept = second.settle()
    third = TrialSettings(base)
    assert kept is not None
    assert (trying.outcome, kept.outcome) == ("trying", "kept")
    assert (kept.before, kept.after) == (trying.before, trying.after)
    assert level(third) == "debug"
    assert not third.is_on_trial
    assert third.settle() is third.news() is None


def test_a_trial_that_does_not_last_is_taken_back(base: Path) -> None:
    """The run after one that died trying has the settings before, and tells so once."""
    trying = TrialSettings(base).propose(CHANGE)
    TrialSettings(base)
    after = TrialSettings(base)
    assert level(after) == "info"
    news = after.news()
    assert news is not None
    assert (news.outcome, news.before, news.after) == ("reverted", trying.after, trying.before)
    assert after.news() is None
    assert TrialSettings(base).news() is None


WRONG = {
    "cannot be changed from afar": {"broker.url": "mqtt://thief"},
    "log.level": {"log.level": "loud"},
    "changes nothing: name": {},
    "changes nothing: these": {"log.level": "info"},
}


@pytest.mark.parametrize("told", WRONG)
def test_what_cannot_be_is_not_even_tried(base: Path, told: str) -> None:
    """Foreign names, bad values and no change at all leave nothing behind."""
    with pytest.raises(SettingsError, match=told):
        TrialSettings(base).propose(WRONG[told])
    assert not TrialSettings(base).is_on_trial


def test_the_technicians_file_comes_first(base: Path) -> None:
    """Where it was edited so that a remote change fits no more, the change goes, with a record."""
    TrialSettings(base).propose(CHANGE)
    TrialSettings(base).settle()
    base.write_text(base.read_text() + "log = 'loud'\n")
    with pytest.raises(SettingsError):
        TrialSettings(base)
    base.write_text(base.read_text().replace("log = 'loud'\n", ""))
    assert level(TrialSettings(base)) == "debug"


def test_half_a_file_is_no_trial(base: Path, tmp_path: Path) -> None:
    """What cannot be read tells nothing; the technician's settings count."""
    TrialSettings(base).propose(CHANGE)
    (tmp_path / "store" / "remote-settings.json").write_text('{"tri')
    assert level(TrialSettings(base)) == "info"


def test_nothing_is_written_where_nothing_was_changed(base: Path, tmp_path: Path) -> None:
    """A node that nobody commands has no such file."""
    TrialSettings(base)
    assert not (tmp_path / "store").exists()
