"""What goes out next, and how much of it: order, budget and window, in virtual time."""

from collections import deque
from pathlib import Path

import pytest

from agent.app.evidence import EvidenceKey, evidence_key
from agent.app.feed import YOUNG_NS, Feed
from agent.app.window import FIRST_OCTETS, PROBE_NS, Budget, Window
from agent.cli.main import main
from agent.core.records.envelope import open_envelope
from agent.core.records.kinds import Body, parse
from agent.core.records.remote_records import KeyChange
from agent.core.records.succession import change_to
from agent.core.units import NS_PER_MS, NS_PER_S
from tests.support.drafts import draft, heartbeat
from tests.support.keywork import outbox_in
from tests.support.uplinked import NODE_KEYS, Pole

SECOND = NS_PER_S


def heard(pole: Pole) -> list[int]:
    """The numbers of the impulses that came, in that order."""
    bodies = [parse(open_envelope(raw, NODE_KEYS).payload, Body) for raw in pole.heard()]
    return [body.seq for body in bodies if body.type == "earshot.impulse.v1"]


def test_young_alerts_go_newest_first_and_the_backlog_in_its_order(pole: Pole) -> None:
    """What waited when the connection began is young for a minute; then the oldest goes first."""
    pole.append(400)
    pole.run(0.3)
    first = heard(pole)
    assert first[0] == 400
    assert first == sorted(first, reverse=True)
    pole.broker.refuse("for a while")
    pole.run(YOUNG_NS / SECOND + 30)
    pole.broker.refuse()
    (new,) = pole.append(1)
    pole.run(61)
    later = heard(pole)
    assert later[0] in (1, new.seq)
    assert new.seq in later[:3]
    rest = [seq for seq in dict.fromkeys(later) if seq not in first and seq != new.seq]
    assert rest[:100] == sorted(rest)[:100]


class Line:
    """A line with a window before it, and always more to say: messages of 1 kB, in order."""

    def __init__(self, window: Window, bytes_s: float, delay_ms: int) -> None:
        self.window, self.bytes_s, self.delay_ms = window, bytes_s, delay_ms
        self.now_ns = self._free_ns = 10 * SECOND
        self._token = self.under_way = 0
        self._answers: deque[tuple[int, int]] = deque()

    def run(self, seconds: float) -> float:
        """The share of the line that was used."""
        answered, end_ns = 0, self.now_ns + round(seconds * SECOND)
        while self.now_ns < end_ns:
            while self._answers and self._answers[0][0] <= self.now_ns:
                self.window.answered(self._answers.popleft()[1], self.now_ns)
                answered += 1
            while self.window.is_open(self.now_ns):
                self._token += 1
                self._free_ns = max(self.now_ns, self._free_ns) + round(1e12 / self.bytes_s)
                come_ns = self._free_ns + self.delay_ms * NS_PER_MS
                self._answers.append((come_ns, self._token))
                self.window.hand_over(self._token, 1_000, self.now_ns)
            self.under_way = 1_000 * len(self._answers)
            self.now_ns += 2 * NS_PER_MS
        return answered * 1_000 / seconds / self.bytes_s


@pytest.mark.parametrize("bytes_s", [2_000, 8_000, 50_000, 125_000])
@pytest.mark.parametrize("delay_ms", [20, 200, 600, 1_600])
def test_the_window_fills_any_line_and_hardly_more(bytes_s: float, delay_ms: int) -> None:
    """Four fifths of it at least, and a quarter of a second of queue before it, or two records."""
    line = Line(Window(256), bytes_s, delay_ms)
    line.run(40)
    assert line.run(70) >= 0.8
    product = bytes_s * delay_ms / 1_000 + 1_000
    assert line.under_way <= max(FIRST_OCTETS + 1_000, product + 0.25 * bytes_s + 2_000)


def test_the_window_follows_a_line_that_gets_slower() -> None:
    """After its second look at the empty line no more is under way than the slower one wants."""
    line = Line(Window(64), 125_000, 100)
    line.run(30)
    assert line.under_way > 12_000
    line.bytes_s = 8_000
    line.run(2.5 * PROBE_NS / SECOND)
    assert line.under_way <= 8_000 * 0.1 + 1_000 + 0.25 * 8_000 + 2_000


def test_the_budget_caps_what_can_wait(tmp_path: Path) -> None:
    """So many kbit/s on average, and no saving up over a quiet night."""
    budget = Budget(16)
    budget.has_room(3_600 * SECOND)
    sent, now_ns = 0, 3_600 * SECOND
    while now_ns < 3_700 * SECOND:
        if budget.has_room(now_ns):
            budget.spend(1_000)
            sent += 1_000
        now_ns += 10 * NS_PER_MS
    assert 2_000 * 100 <= sent <= 2_000 * 102 + 1_000
    free = Budget(0)
    free.spend(10**9)
    assert free.has_room(0)


def test_a_key_change_goes_before_what_the_new_key_signed(tmp_path: Path) -> None:
    """Newest first would bring alerts of a key that the locator has not heard of."""
    main(["key", "new", str(tmp_path / "key.pem")])
    with evidence_key(str(tmp_path / "key.pem")) as key:
        changes_its_key(tmp_path, key)


def changes_its_key(directory: Path, key: EvidenceKey) -> None:
    outbox, sealer = outbox_in(directory, key)
    for _ in range(3):
        outbox.append(draft())
    change = change_to(key.heir(), sealer.identity.source, sealer.identity.keyid)
    outbox.append(draft(change))
    for _ in range(3):
        outbox.append(draft())
    outbox.append(draft(heartbeat()))
    feed = Feed(16, Budget(0), 0)
    first = next(iter(feed.next(outbox, 16, 0)))
    assert first.kind == KeyChange.__struct_config__.tag
    numbers = [one.head.seq for one in outbox.pending(99, frozenset(), 0)]
    assert numbers == [4, 7, 6, 5, 3, 2, 1, 8]
    assert [one.head.seq for one in outbox.pending(99, frozenset(), 6)] == [4, 7, 1, 2, 3, 5, 6, 8]
    outbox.close()
