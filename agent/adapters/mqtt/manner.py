"""In which manner a broker wants to be spoken to, found out by what it answers, and remembered.

Brokers differ in what they make of a CONNECT that they do not like: a code, a hang-up, silence,
bytes that are no MQTT. So a connection that never was is tried again in a humbler manner: MQTT
3.1.1, a client id of 23 characters (all that 3.1.1 promises), a last will that is not retained,
none at all. Nothing depends on these: receipts tell what arrived.
"""

import hashlib
import threading
from dataclasses import dataclass, replace
from typing import Literal

from paho.mqtt.enums import MQTTProtocolVersion

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
SHORT_ID = 23
LOYAL = 3  # so many connections in a row must fail before what once worked is doubted
_BAD_VERSION, _BAD_ID, _NO_RETAIN, _NO_QOS = 0x84, 0x85, 0x9A, 0x9B
_VAGUE = (0x80, 0x81, 0x82, 0x83)  # of MQTT 5: unspecified, malformed, protocol error, our own


@dataclass(frozen=True, slots=True)
class Manner:
    """One way to say CONNECT, and whether messages are published retained."""

    version: MQTTProtocolVersion
    is_short_id: bool = False
    will: Literal["retained", "plain", "none"] = "retained"
    retains: bool = True

    def client_id(self, full: str) -> str:
        """`full`, or a short one made of it: the same at each connection."""
        if not self.is_short_id or len(full) <= SHORT_ID:
            return full
        return f"e{hashlib.sha256(full.encode()).hexdigest()[: SHORT_ID - 1]}"


class Manners:
    """What is known of one broker; any thread may ask.

    `versions` may be offered, best first, to a client of that full id, with a last will or without.
    """

    def __init__(
        self, versions: tuple[MQTTProtocolVersion, ...], client_id: str, *, has_will: bool
    ) -> None:
        self._versions = versions
        self._is_long, self._has_will = len(client_id) > SHORT_ID, has_will
        self._lock = threading.Lock()
        self._known: Manner | None = None
        self._failures = self._retained_losses = 0

    def first(self) -> Manner:
        """What to begin with: what worked, until it fails again and again."""
        with self._lock:
            if self._known and self._failures < LOYAL:
                return self._known
            retains = self._known.retains if self._known else True
            return Manner(self._versions[0], retains=retains)

    def next(
        self, tried: list[Manner], code: int | None, *, is_silent: bool = False
    ) -> Manner | None:
        """What to try after the last of `tried` was refused with `code`; None: not at once.

        `code` is a reason code of MQTT 5, None where the broker hung up, was silent or spoke
        nonsense; then all manners are tried, but not while one is known that worked. Silence costs
        time, and may be mere slowness: another version is all that is tried then.
        """
        last = tried[-1]
        with self._lock:
            is_loyal = self._known is not None and self._failures < LOYAL
        humbler = map(
            self._plain, self._humbler(last, code, is_loyal=is_loyal)[: 1 if is_silent else None]
        )
        seen = set(map(self._plain, tried))
        return next((one for one in humbler if one not in seen), None)

    def worked(self, manner: Manner) -> None:
        """The broker accepted it."""
        with self._lock:
            self._known, self._failures = manner, 0

    def failed(self) -> None:
        """No manner was accepted."""
        with self._lock:
            self._failures += 1

    def retained_message(self, *, is_answered: bool) -> None:
        """One was acknowledged, or the broker ended the connection over it; twice is a habit."""
        with self._lock:
            self._retained_losses = 0 if is_answered else self._retained_losses + 1
            if self._retained_losses >= 2 and self._known:
                self._known = replace(self._known, retains=False, will="plain")

    def refuses_retained(self) -> None:
        """The broker says that it retains nothing."""
        with self._lock:
            if self._known:
                self._known = replace(self._known, retains=False, will="plain")

    def _humbler(self, last: Manner, code: int | None, *, is_loyal: bool) -> list[Manner]:
        if code == _BAD_ID:
            return [replace(last, is_short_id=True)]
        if code == _NO_RETAIN and self._has_will:
            return [replace(last, will="plain", retains=False), replace(last, will="none")]
        if code == _NO_QOS:
            return [replace(last, will="none")]
        oldest = self._versions[-1]
        if code == _BAD_VERSION or code in _VAGUE:
            return [replace(last, version=oldest)] if last.version != oldest else []
        if code is not None or is_loyal:
            return []
        plain = Manner(oldest, is_short_id=True, will="none", retains=last.retains)
        return [replace(last, version=oldest), plain]

    def _plain(self, manner: Manner) -> Manner:
        """The same manner without what makes no difference to this client."""
        will = manner.will if self._has_will else "none"
        return replace(manner, is_short_id=manner.is_short_id and self._is_long, will=will)
