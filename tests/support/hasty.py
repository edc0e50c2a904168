"""`earshot`, but a run forgets the one before within half a second, and settings prove themselves
in two: all else is the real program. `python -m tests.support.hasty run --config FILE`.
"""

import sys

from agent.app import commanddesk
from agent.cli.main import main
from agent.core.trust import commands
from agent.core.units import NS_PER_S

commands.FORGETFUL_NS = NS_PER_S // 2
commanddesk.TRIAL_NS = 2 * NS_PER_S

if __name__ == "__main__":
    sys.exit(main())
