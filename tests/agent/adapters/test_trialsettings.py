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
    "cannot be changed from afar": {"broker.ca": "thief.crt"},
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
    TrialSettings(base).propose({"audio.latency_us": 2500})
    TrialSettings(base).settle()
    assert TrialSettings(base).settings.audio.latency_us == 2500
    base.write_text(base.read_text() + "audio.latency_bound_us = 2000\n")
    after = TrialSettings(base)
    news = after.news()
    assert after.settings.audio.latency_us is None
    assert news is not None
    assert (news.outcome, "do not fit" in news.reason) == ("reverted", True)
    assert not after.trouble


BROKEN = {
    "a misspelt key": ("log.level", "log.levle", "log.levle is unknown: did you mean 'level'?"),
    "no TOML any more": ('id = "n1"', "id = n1", "is not TOML"),
    "a bad value": ('log.level = "info"', "log.level = 7", "log.level = 7 is wrong"),
}


@pytest.fixture
def proved(base: Path) -> Path:
    """A file that a run has proved."""
    base.write_text(base.read_text() + 'log.level = "info"\n')
    TrialSettings(base).settle()
    return base


@pytest.mark.parametrize("typo", BROKEN)
def test_a_typo_leaves_the_last_good_settings_in_effect(proved: Path, typo: str) -> None:
    """A file that worked once and has a fault now: what worked counts, and the fault is told in
    the chain and to whoever asks; mended, the file counts again."""
    good, bad, told = BROKEN[typo]
    text = proved.read_text()
    before = TrialSettings(proved).settings
    proved.write_text(text.replace(good, bad))
    after = TrialSettings(proved)
    assert after.settings == before
    assert told in after.trouble
    news = after.news()
    assert news is not None
    assert (news.outcome, news.after, told in news.reason) == ("reverted", before.digest(), True)
    assert after.settle() is None
    proved.write_text(text.replace("info", "debug"))
    mended = TrialSettings(proved)
    assert (level(mended), mended.trouble, mended.news()) == ("debug", "", None)


def test_a_lost_file_leaves_the_last_good_settings_in_effect(
    proved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a text without its store's name: the service's own directory is searched."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    TrialSettings(proved).settle()
    proved.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        TrialSettings(tmp_path / "other.toml")
    assert "cannot be read" in TrialSettings(proved).trouble


def test_a_file_that_never_worked_is_told_as_before(base: Path) -> None:
    """Before the first good run there is nothing to go back to: every fault is told at once."""
    base.write_text(base.read_text() + "log = 'loud'\n")
    with pytest.raises(SettingsError, match="log must be a table"):
        TrialSettings(base)


def test_a_file_that_cannot_be_run_gives_way_to_what_worked(proved: Path) -> None:
    """A good text that names a device that is not there, say: the next run has the one before."""
    assert not TrialSettings(proved).give_up("no such device")
    proved.write_text(proved.read_text() + 'audio.source = "portaudio:Umik"\n')
    failed = TrialSettings(proved)
    assert failed.give_up("portaudio:Umik: no such device")
    after = TrialSettings(proved, failed.distrusted)
    assert after.settings.audio.source == "portaudio:default"
    assert "portaudio:Umik: no such device" in after.trouble
    assert not after.give_up("no device at all")
    assert not TrialSettings(proved).trouble


def test_what_failed_on_trial_is_told_by_its_reason(base: Path) -> None:
    """The chain has why they were taken back, not only that they were."""
    TrialSettings(base).propose(CHANGE, was_locked=True)
    trying = TrialSettings(base)
    assert trying.was_locked
    assert trying.give_up("silence: the sound is all zeros")
    news = TrialSettings(base).news()
    assert news is not None
    assert news.reason == "silence: the sound is all zeros"


def test_half_a_file_is_no_trial(base: Path, tmp_path: Path) -> None:
    """What cannot be read tells nothing; the technician's settings count."""
    TrialSettings(base).propose(CHANGE)
    (tmp_path / "store" / "remote-settings.json").write_text('{"tri')
    assert level(TrialSettings(base)) == "info"


def test_nothing_is_written_where_nothing_was_changed(base: Path, tmp_path: Path) -> None:
    """A node that nobody commands has no such file."""
    TrialSettings(base)
    assert not (tmp_path / "store").exists()
