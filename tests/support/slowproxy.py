"""A thin line of real sockets: a TCP proxy on loopback that passes so many bit/s, and late.

Each way is a queue before a line of one rate, then a delay, as `thinline` models it; TCP's own
headers are not counted. What is read waits in the proxy for its turn, up to a small buffer.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from tests.support.relay import Relay

CHUNK_BYTES = 500
BUFFER_BYTES = 16 * 1024  # what a modem queues


@dataclass
class Way:
    """One direction; `octets` counts what has passed on all connections."""

    bit_s: float
    delay_s: float
    octets: int = 0


class SlowProxy(Relay):
    """Serves until `close`, towards the broker at `broker_url`."""

    def __init__(self, broker_url: str, bit_s: float, round_trip_s: float) -> None:
        self.up, self.down = Way(bit_s, round_trip_s / 2), Way(bit_s, round_trip_s / 2)
        super().__init__(broker_url)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._broker)
            writers.append(far_writer)
            ways = [
                asyncio.ensure_future(_carry(reader, far_writer, self.up)),
                asyncio.ensure_future(_carry(far_reader, writer, self.down)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the broker is away: so is this connection
        finally:
            for one in writers:
                one.close()
                with suppress(OSError):
                    await one.wait_closed()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    late = asyncio.ensure_future(_deliver(writer, under_way))
    free_s = loop.time()
    try:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                free_s = max(free_s, loop.time()) + len(data) * 8 / way.bit_s
                way.octets += len(data)
                under_way.put_nowait((free_s + way.delay_s, data))
                ahead_s = free_s - loop.time() - BUFFER_BYTES * 8 / way.bit_s
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
    finally:
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)


async def _deliver(
    writer: asyncio.StreamWriter, under_way: asyncio.Queue[tuple[float, bytes]]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s, data = await under_way.get()
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        writer.write(data)
        await writer.drain()
