"""`earshot`, but a run forgets the one before within half a second, and settings prove themselves
in two, or are given up after 25; a microphone is
known after 15: all else is the real program.

`python -m tests.support.hasty run --config FILE`.
"""

import sys

from agent.app import commanddesk, proof
from agent.cli.main import main
from agent.core.hearing import liveness
from agent.core.trust import commands
from agent.core.units import NS_PER_S

commands.FORGETFUL_NS = NS_PER_S // 2
commanddesk.TRIAL_NS = 2 * NS_PER_S
commanddesk.PATIENCE_NS = 25 * NS_PER_S
liveness.PERIOD_S = 1
proof.HEARD_S = 1

if __name__ == "__main__":
    sys.exit(main())
