"""What a street's candidates cost on the wire: bytes an hour, thinning counted in.

A class's clips are heard one after another, over and over for two hours, as if a street held
nothing else. Records are composed, signed and wrapped as a node does; heartbeats and the like,
which cost the same everywhere, are left out.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import cycle

from agent.adapters.keyfile import Ed25519FileSigner
from agent.app.impulse import impulse_of
from agent.core.clock import Stamp
from agent.core.hearing import Onset
from agent.core.hearing.thinning import Thinning
from agent.core.records import Draft, Sealer
from agent.core.records.chain import Head
from agent.core.records.fields import TimePair
from agent.core.records.kinds import Data, Identity, TimeQuality
from agent.core.units import NS_PER_S
from simulator.trials.corpus.listening import Heard, Trigger

HOURS = 2
_HOUR_S = 3600
RATE_HZ = 48_000
_MQTT_BYTES = 90
_SIGMA_SAMPLES = 8.0
_UTC_NS = 1_795_000_000_123_456_789
_PAIRS = tuple(TimePair(samples=RATE_HZ, utc_ns=str(_UTC_NS)) for _ in range(2))


def bytes_an_hour(heard: Sequence[Heard]) -> int:
    """The dearest hour of the first HOURS, in which these embeddings of clips follow one another.

    Whenever it begins.
    """
    if not any(one.published for one in heard):
        return 0
    window, spent, dearest = deque[tuple[float, int]](), 0, 0
    for at_s, size in _told(heard):
        window.append((at_s, size))
        spent += size
        while at_s - window[0][0] > _HOUR_S:
            spent -= window.popleft()[1]
        dearest = max(dearest, spent)
    return dearest


def _told(heard: Sequence[Heard]) -> Iterator[tuple[float, int]]:
    """When each record is told (s), and its bytes on the wire."""
    thinning, size, begun_s = Thinning(RATE_HZ), _Sizes(), 0.0
    for one in cycle(heard):
        for trigger in one.triggers:
            at_s = begun_s + min(max(trigger.at_s, 0.0), one.clip_s)
            onset, stamp = onset_at(trigger, at_s), Stamp(_UTC_NS + round(at_s * NS_PER_S), 1000)
            summaries, is_thinned = thinning.take(onset, stamp.utc_ns, stamp.sigma_ns)
            for summary in summaries:
                yield at_s, size.of(summary)
            if trigger.verdict.accepted and not is_thinned:
                yield at_s, size.of(impulse_of(onset, stamp, RATE_HZ, _PAIRS))
        begun_s += one.clip_s
        if begun_s >= HOURS * _HOUR_S:
            return


def onset_at(trigger: Trigger, at_s: float) -> Onset:
    """The trigger as hearing would give it, so many seconds after the stream opened."""
    return Onset(
        sample=at_s * RATE_HZ,
        sigma_noise_samples=_SIGMA_SAMPLES,
        sigma_total_samples=_SIGMA_SAMPLES,
        strength=9.0,
        features=trigger.features,
        verdict=trigger.verdict,
    )


class _Sizes:
    """Bytes of records of one node, with a key of its own."""

    def __init__(self) -> None:
        signer = Ed25519FileSigner.from_seed(bytes(32))
        identity = Identity(
            site="street", cell="north", node="n1", keyid=signer.keyid, boot="b" * 32
        )
        self._sealer, self._head = Sealer(identity, signer), Head("c" * 32, 100_000, "d" * 64)
        self._clock = TimeQuality(
            state="locked",
            source="pps",
            sigma_ns=1200,
            mark_age_ms=400,
            oscillator_ppm=1.25,
            leap="none",
        )

    def of(self, data: Data) -> int:
        """On the wire: envelope, topic and header."""
        draft = Draft(data=data, clock=self._clock, host_ns=_UTC_NS, utc_ns=_UTC_NS)
        return len(self._sealer.seal(draft, self._head).envelope) + _MQTT_BYTES
