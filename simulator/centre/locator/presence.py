"""What nodes say of themselves beside their records: which words they take beyond those of 0.1.0.

A node that has said nothing, or whose status does not verify, is spoken to as one of 0.1.0.
"""

from agent.core.records.kinds import Status


class Presences:
    """The last status of each node, by source."""

    def __init__(self) -> None:
        self._takes: dict[str, frozenset[str]] = {}

    def hear(self, status: Status) -> bool:
        """Take a status that verified; True if its node takes other words than before."""
        takes = frozenset(status.takes)
        is_news = takes != self._takes.get(status.source, frozenset())
        self._takes[status.source] = takes
        return is_news

    def takes(self, source: str, word: str) -> bool:
        """Whether the node understands `word`."""
        return word in self._takes.get(source, frozenset())
