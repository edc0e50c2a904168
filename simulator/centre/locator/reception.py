"""Messages that came, by node: each node gets its turn, and no more than its quota.

One that sends without end, or has nothing but nonsense to say, costs the others a turn at most.
What a message says is for others; of its numbers only a glance is taken, to let it fill a hole.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from agent.core.records.envelope import peek
from agent.core.records.fields import Frozen, Hex32, Seq
from agent.core.records.kinds import parse
from agent.errors import RecordError
from agent.ports import Message
from simulator.centre.locator.quota import Allowance, OverQuota, Quota

MAX_QUEUED = 4_096  # messages of one node


class _Glance(Frozen, frozen=True, kw_only=True):
    """What a record says of its place, before anything is verified."""

    chain: Hex32
    seq: Seq


class Reception:
    """Queues by node. `source_of` names the node of a topic, empty for strangers, who share one.

    `is_hole` tells whether a chain of a node lacks a number: what fills that is free. `postpone` is
    told of a message for later, and why: its record has no receipt, so it comes again.
    """

    def __init__(
        self,
        quota: Quota,
        source_of: Callable[[str], str],
        is_hole: Callable[[str, str, int], bool],
        postpone: Callable[[str, str], None],
    ) -> None:
        self._quota, self._source_of, self._is_hole = quota, source_of, is_hole
        self._queues: OrderedDict[str, deque[Message]] = OrderedDict()  # none is empty
        self._allowances: dict[str, Allowance] = {}
        self._postpone = postpone

    @property
    def is_waiting(self) -> bool:
        """True while something that came has not had its turn."""
        return bool(self._queues)

    def put(self, message: Message) -> None:
        """Take what the link brought."""
        source = self._source_of(message.topic)
        queue = self._queues.setdefault(source, deque())
        if len(queue) < MAX_QUEUED:
            queue.append(message)
        else:
            self._postpone(source, "more at once than it may")

    def take(self, limit: int, now_ns: int) -> Iterator[Message]:
        """Up to `limit` messages, one of each node in turn; those over quota are passed by."""
        taken = 0
        while taken < limit and self._queues:
            source, queue = self._queues.popitem(last=False)
            message = queue.popleft()
            if queue:
                self._queues[source] = queue  # behind all others that wait
            if self._may_pass(source, message, now_ns):
                taken += 1
                yield message
            else:
                self._postpone(source, "more than its quota")

    def begin_chain(self, source: str, now_ns: int) -> None:
        """A new chain of that node is to be kept. Raises OverQuota."""
        if not self._allowance(source).begin_chain(now_ns):
            raise OverQuota(f"{source} begins more chains than its quota")

    def _may_pass(self, source: str, message: Message, now_ns: int) -> bool:
        allowance = self._allowance(source)
        if source and not allowance.admits_topic(message.topic):
            return False
        return allowance.spend(len(message.payload), now_ns) or self._fills(source, message)

    def _fills(self, source: str, message: Message) -> bool:
        try:
            glance = parse(peek(message.payload)[1], _Glance)
        except RecordError:
            return False
        return self._is_hole(source, glance.chain, glance.seq)

    def _allowance(self, source: str) -> Allowance:
        if source not in self._allowances:
            self._allowances[source] = Allowance(self._quota)
        return self._allowances[source]
