"""Trust: whose word the node takes, and for how long.

An operator's commands (`commands`), enrolment and the words that are read aloud for it
(`enrolment`, `proquint`), which security token holds a key (`token_uri`), whether a certificate is
in force (`certificate_time`), what a technician is told of the link (`link_advice`), and when to
try it again (`backoff`).

Opens no connection and holds no key; TLS checks everything about a certificate but its time.
"""

from agent.core.trust.commands import Command, CommandJudge, Reply

__all__ = ["Command", "CommandJudge", "Reply"]
