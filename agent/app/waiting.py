"""What was said and is not durable yet: a bounded queue in memory, where nothing goes uncounted.

What waits, waits in the order in which it was said, up to MAX_WAITING. Beyond that the newest of
the least urgent go, counted; once the store keeps again, a signed `Shed` record says how many of
which kind went, and between which host times. What waits has no number yet, and a power cut loses
it. Threads and locks are `keeping`'s.
"""

from collections import deque

from msgspec.structs import replace

from agent.core.records import Draft
from agent.core.records.kinds import kind_of
from agent.core.records.store_records import Shed, Unsaid

MAX_WAITING = 2048
BATCH = 64  # drafts that are handed to the store at once


class Waiting:
    """The queue. The drafts of a batch stay in it until it is told what became of them."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Draft]] = deque()  # with the count of what was said by then
        self._in_hand = 0
        self._unsaid: dict[str, Unsaid] = {}
        self._last: Draft | None = None
        self.said = self.lost = 0  # how many since the start

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_settled(self) -> bool:
        """True when all that was said is durable, and all that was lost is told of."""
        return not self._queue and not self._unsaid

    @property
    def settled(self) -> int:
        """Of all that was said the first so many are durable, or were counted as lost."""
        return self._queue[0][0] - 1 if self._queue else self.said

    def put(self, draft: Draft) -> None:
        """One more; where that is one too many, one goes that is not in the store's hand."""
        self.said += 1
        self._last = draft
        self._queue.append((self.said, draft))
        if len(self._queue) > MAX_WAITING:
            order = range(self._in_hand, len(self._queue))
            self._drop(max(order, key=lambda place: (self._queue[place][1].priority, place)))

    def batch(self) -> tuple[Draft, ...]:
        """What is to be kept next: the same again until `kept` or `refused` is called."""
        if not self._queue and self._unsaid:
            self._queue.append((self.said, self._account()))
        self._in_hand = self._in_hand or min(BATCH, len(self._queue))
        return tuple(self._queue[place][1] for place in range(self._in_hand))

    def kept(self, count: int) -> None:
        """The first `count` of the batch are durable; the rest of it was not begun."""
        self._in_hand = 0
        for _ in range(count):
            self._queue.popleft()

    def refused(self) -> bool:
        """The store has no room for the first of the batch, and none of it was begun.

        It goes where it stands before what is more urgent. Whether it went.
        """
        self._in_hand = 0
        urgencies = [draft.priority for _, draft in self._queue]
        is_in_the_way = min(urgencies) < urgencies[0]
        if is_in_the_way:
            self._drop(0)
        return is_in_the_way

    def _drop(self, place: int) -> None:
        """Count a draft that goes; where it is itself such a count, add it to the new one."""
        _, draft = self._queue[place]
        del self._queue[place]
        if isinstance(draft.data, Shed):
            lost = draft.data.unsaid
        else:
            at, kind = str(draft.host_ns), kind_of(draft.data)
            lost = (Unsaid(kind=kind, count=1, first_host_ns=at, last_host_ns=at),)
            self.lost += 1
        for one in lost:
            known = self._unsaid.get(one.kind, one)
            self._unsaid[one.kind] = Unsaid(
                kind=one.kind,
                count=one.count + (0 if known is one else known.count),
                first_host_ns=min(known.first_host_ns, one.first_host_ns, key=int),
                last_host_ns=max(known.last_host_ns, one.last_host_ns, key=int),
            )

    def _account(self) -> Draft:
        """What went since the last account, told with the clock of what was said last."""
        assert self._last  # noqa: S101 - what is counted was said
        unsaid = tuple(self._unsaid.values())
        self._unsaid = {}
        told = Shed(reason="the store could not keep them", links=(), unsaid=unsaid)
        return replace(self._last, data=told)
