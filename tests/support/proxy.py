"""A bad network between a client and a broker: a TCP proxy on loopback that spoils what it carries.

Each connection meets the `Fault` that `next_fault` names when it is made. It spoils bytes, so the
MQTT in them may turn into nonsense, as after a middlebox with a bug. TCP itself is not touched.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.support.relay import Relay

CHUNK_BYTES = 700  # less than a record: faults fall into the middle of packets too
LIFE_BYTES = 12_000


@dataclass(frozen=True)
class Fault:
    """What happens on one connection after `after` bytes of both directions have passed.

    "none", "cut" (at that byte), "stall" (nothing passes any more, and nobody is told),
    "duplicate" and "reorder" (each second chunk towards the broker), "drip" (byte by byte). Those
    that let bytes pass are cut after LIFE_BYTES more. "refuse": no byte passes, and a CONNECT is
    answered with the CONNACK of code `after`.
    """

    kind: str = "none"
    after: int = 0


class Proxy(Relay):
    """Serves until `close`; `connections` counts those made, `passed` the bytes of the last one."""

    def __init__(self, broker_url: str, next_fault: Callable[[], Fault] = Fault) -> None:
        self.next_fault = next_fault
        self.connections = self.passed = 0
        super().__init__(broker_url)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        pipe, writers = _Pipe(self.next_fault()), [writer]
        try:
            if pipe.fault.kind == "refuse":
                await _refuse(reader, writer, pipe.fault.after)
                return
            far_reader, far_writer = await asyncio.open_connection(*self._broker)
            writers.append(far_writer)
            upwards = asyncio.ensure_future(pipe.carry(reader, far_writer, upwards=True))
            downwards = asyncio.ensure_future(pipe.carry(far_reader, writer, upwards=False))
            try:
                await asyncio.wait([upwards, downwards], return_when=asyncio.FIRST_COMPLETED)
            finally:
                upwards.cancel()
                downwards.cancel()
        except OSError:
            pass  # the broker is away: so is this connection
        finally:
            self.passed = pipe.passed
            for one in writers:
                one.close()
            for one in writers:
                with suppress(OSError):
                    await one.wait_closed()


class _Pipe:
    """Both ways of one connection."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self.passed = fault, 0
        self._held = b""
        self._is_odd = False

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                left = max(0, self.fault.after - self.passed)
                self.passed += len(data)
                if self.fault.kind == "cut" and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    return
                if self.fault.kind != "none" and self.passed > self.fault.after + LIFE_BYTES:
                    return
                if len(data) > left:
                    data = await self._spoil(data, writer, upwards=upwards)
                writer.write(data)
                await writer.drain()

    async def _spoil(self, data: bytes, writer: asyncio.StreamWriter, *, upwards: bool) -> bytes:
        """What to write of `data`, now that the fault is due."""
        self._is_odd ^= upwards
        match self.fault.kind:
            case "stall":
                await asyncio.Event().wait()
            case "duplicate" if upwards and self._is_odd:
                return data + data
            case "reorder" if upwards and self._is_odd:
                self._held += data
                return b""
            case "drip":
                for byte in data:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)
                return b""
        if upwards:
            data, self._held = data + self._held, b""
        return data


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, code: int) -> None:
    """Answer the CONNECT in its own version of MQTT, and hang up."""
    asked = await reader.read(CHUNK_BYTES)
    is_v5 = asked.partition(b"MQTT")[2][:1] == b"\x05"
    writer.write(bytes([0x20, 3, 0, code, 0]) if is_v5 else bytes([0x20, 2, 0, code]))
    await writer.drain()
    await reader.read()  # our end hangs up only after theirs has read the answer
