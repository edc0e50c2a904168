"""An hour of an idle street: the whole agent on real PortAudio does not grow."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.wholeagent import agent_in

pytestmark = pytest.mark.torture

SETTLE_S = 600.0
WATCHED_S = float(os.environ.get("EARSHOT_MEMORY_S", "3600"))
LOOK_S = 15.0


def test_memory_stays(tmp_path: Path) -> None:
    """At most 80 MB, and after ten minutes at most 1 MB more in an hour; files and threads stay."""
    with agent_in(tmp_path) as agent:
        time.sleep(SETTLE_S)
        counts, began_s, seen = agent.counts, time.monotonic(), []
        while (now_s := time.monotonic() - began_s) < WATCHED_S:
            seen.append((now_s / 3600, agent.rss_mb))
            time.sleep(LOOK_S)
        hours, megabytes = np.array(seen).T
        growth = np.polyfit(hours, megabytes, 1)[0]
        share = agent.cpu_share(60)
        print(f"{megabytes.max():.1f} MB at most, {growth:+.2f} MB/h, {share:.1%} of a core")
        assert megabytes.max() <= 80
        assert growth <= 1
        assert agent.counts == counts
