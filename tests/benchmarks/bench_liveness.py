"""What knowing that one hears costs, beside the hearing itself: the same blocks, side by side."""

import pytest

from agent.core.audio import AudioFormat
from agent.core.hearing import Hearing
from agent.core.hearing.liveness import Liveness
from agent.core.hearing.selftest import quiet_bed, self_test
from tests.support import deafness as made
from tests.support.measuring import Results, interleaved, print_cells

SECONDS = 60.0
RESULTS = Results("bench-liveness")


@pytest.mark.parametrize("rate_hz", [12_000, 48_000])
@pytest.mark.parametrize("size", [1024, 4096])
def test_liveness_beside_hearing(rate_hz: int, size: int, capsys) -> None:
    """Share of the hearing's CPU time, on a street where nothing happens; a self-test in ms."""
    fmt = AudioFormat(rate_hz)
    blocks = list(made.blocks(made.pcm(made.street(SECONDS, rate_hz)), size, rate_hz))
    bed = quiet_bed(rate_hz)

    def fed(listener: Hearing | Liveness) -> None:
        for block in blocks:
            listener.on_block(block)

    spent = interleaved(
        {
            "hearing": lambda: fed(Hearing(fmt)),
            "liveness": lambda: fed(Liveness(fmt)),
            "self-test": lambda: self_test(fmt, bed),
        }
    )
    name = f"{rate_hz}_{size}"
    cells = {
        f"liveness_over_hearing_{name}": spent["liveness"] / spent["hearing"],
        f"liveness_us_per_block_{name}": 1e6 * spent["liveness"] / len(blocks),
        f"self_test_ms_{name}": 1e3 * spent["self-test"],
    }
    RESULTS.cells |= cells
    with capsys.disabled():
        print(f"\nliveness at {rate_hz} Hz in blocks of {size}:")
        print_cells(cells)
    RESULTS.write()
