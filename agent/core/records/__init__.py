"""Records: what a node says, and how anyone can check that it was said so.

The kinds and their fields (`kinds`, `fields`, `store_records`, `remote_records`, `position`,
`heartbeat`), the vocabulary of health (`findings`, `faults`, and the catalogues `sound_faults`,
`host_faults`), the signed envelope (`envelope`), the numbered and linked chain (`chain`,
`succession`), and its check (`audit`).

Stores and sends nothing, and decides nothing: when to speak is the node's matter.
"""

from agent.core.records.chain import Sealer
from agent.core.records.kinds import Body, Draft

__all__ = ["Body", "Draft", "Sealer"]
