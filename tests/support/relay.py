"""Stands between a node and a broker: takes connections on a thread of its own until `close`."""

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from urllib.parse import urlsplit


class Relay(ABC):
    """Each connection is a task of `accept`, which those that inherit from it write."""

    def __init__(self, broker_url: str) -> None:
        address = urlsplit(broker_url)
        self._broker = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{address.scheme}://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()

    def close(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    @abstractmethod
    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._ended.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await self.accept(reader, writer)
        finally:
            self._tasks.discard(task)
