"""Findings for the journal: one line when a fault begins, one when it is over, none between."""

import logging
from collections.abc import Iterable

from agent.core.records.findings import Finding

log = logging.getLogger("earshot")

_LEVELS = {"warning": logging.WARNING, "critical": logging.ERROR}


class FindingLog:
    """Feed it all findings once a second; it tells what is new or has become worse."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def step(self, findings: Iterable[Finding]) -> None:
        """A fault is named with its value, the part to touch and the remedy."""
        now = {one.fault: one for one in findings if one.fault}
        for fault, one in now.items():
            before = self._told.get(fault)
            if before is None or (before, one.status) == ("warning", "critical"):
                value = f" ({one.value})" if one.value else ""
                told = f"{fault}{value}: {one.part}: {one.remedy}"
                log.log(_LEVELS.get(one.status, logging.WARNING), "%s", told)
            self._told[fault] = one.status
        for fault in [name for name in self._told if name not in now]:
            log.info("%s is over", fault)
            del self._told[fault]
