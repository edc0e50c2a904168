"""The composition root: what settings name and the host lacks is told before the store opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pole import Pole


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('time.source = "pps"\ntime.pps_device = "{home}/pps7"', "pps7: no pulse per second"),
        ('time.source = "pps"\ntime.pps_device = "{home}"', "assert: no pulse per second"),
    ],
)
def test_a_missing_reference_leaves_the_store_alone(tmp_path: Path, lines: str, told: str) -> None:
    """One line, exit code 2, and the next start is not taken for one after a crash."""
    pole = Pole(tmp_path, "mqtt://127.0.0.1:1")
    text = pole.config.read_text().replace('time.source = "sim"', lines.format(home=tmp_path))
    pole.config.write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "agent.cli.main", "run", "--config", str(pole.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "store").exists()
