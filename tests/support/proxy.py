"""A TCP proxy between Kafka clients and a broker, on which things go wrong on command.

It knows just enough of the protocol to name requests (a 4-byte length, then api key, api version, correlation id:
Kafka protocol guide, "Request headers"), so that a test can lose exactly the answer to a commit.
"""

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Self

from stream.kafka.local import free_port


class ApiKey(IntEnum):
    """The requests that tests name (Kafka protocol guide, "API keys")."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    HEARTBEAT = 12
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class KafkaProxy:
    """Listens on 127.0.0.1:`port` (None: any free one) and forwards to 127.0.0.1:`upstream_port`. A context manager.

    The broker's listener behind it must advertise `port`, or clients will go round it. All methods may be called from
    the test's thread; each has taken effect when it returns.
    """

    def __init__(self, upstream_port: int, port: int | None = None) -> None:
        self.port = port or free_port()
        self._upstream_port = upstream_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._refusing = False
        self._delay_s = 0.0
        self._delays_s: dict[int, float] = {}
        self._requests: Counter[int] = Counter()
        self._lost: Counter[int] = Counter()
        self._lose_requests: Counter[int] = Counter()
        self._lose_responses: Counter[int] = Counter()

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection that is open now; new ones are welcome."""
        self._on_loop(self._cut)

    def refuse(self) -> None:
        """Reset every connection, and each new one at once, until `heal`."""
        self._refusing = True
        self._on_loop(self._cut)

    def black_hole(self) -> None:
        """Forward nothing more, close nothing, until `heal`."""
        self._on_loop(self._flowing.clear)

    def delay(self, seconds: float, api_key: ApiKey | None = None) -> None:
        """Hold back each answer for so long, or just those to one kind of request, until `heal`.

        A connection's answers come in order: those behind one that is held back wait too.
        """
        if api_key is None:
            self._delay_s = seconds
        else:
            self._delays_s[api_key] = seconds

    def lose_response(self, api_key: ApiKey, times: int = 1) -> None:
        """The broker gets and does the next such request; its answer is swallowed and the connection reset."""
        self._lose_responses[api_key] += times

    def lose_request(self, api_key: ApiKey, times: int = 1) -> None:
        """The next such request never reaches the broker; the connection is reset."""
        self._lose_requests[api_key] += times

    def heal(self) -> None:
        """No more faults; what was held back flows on."""
        self._refusing = False
        self._delay_s = 0.0
        self._delays_s.clear()
        self._lose_requests.clear()
        self._lose_responses.clear()
        self._on_loop(self._flowing.set)

    def requests(self, api_key: ApiKey) -> int:
        """How many such requests clients have sent so far."""
        return self._requests[api_key]

    def lost(self, api_key: ApiKey) -> int:
        """How many such requests or answers have been lost on purpose so far."""
        return self._lost[api_key]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _on_loop(self, act: Callable[[], None]) -> None:
        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _listen(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end closes it, a fault or `_close` ends it."""
        ends = {writer}
        pumps: set[asyncio.Task[None]] = set()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            ends.add(up_writer)
            if self._refusing:
                return
            self._writers |= ends
            doomed: set[int] = set()
            late_s: dict[int, float] = {}
            pumps.add(asyncio.ensure_future(self._pump_requests(reader, up_writer, doomed, late_s)))
            pumps.add(asyncio.ensure_future(self._pump_responses(up_reader, writer, doomed, late_s)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            return  # the broker is down: the client sees its connection reset
        finally:
            for end in ends:
                end.transport.abort()
            for pump in pumps:
                pump.cancel()
            self._writers -= ends

    async def _pump_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: set[int], late_s: dict[int, float]
    ) -> None:
        """Forward requests until an end closes or one is to be lost; note whose answers are `doomed` or come late."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                api_key, _, correlation_id = struct.unpack_from(">hhi", frame, 4)
                self._requests[api_key] += 1
                if _take(self._lose_requests, api_key):
                    self._lost[api_key] += 1
                    return
                if _take(self._lose_responses, api_key):
                    self._lost[api_key] += 1
                    doomed.add(correlation_id)
                if api_key in self._delays_s:
                    late_s[correlation_id] = self._delays_s[api_key]
                await self._flowing.wait()
                writer.write(frame)
                await writer.drain()

    async def _pump_responses(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: set[int], late_s: dict[int, float]
    ) -> None:
        """Forward answers until an end closes or one is doomed."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _frame(reader)
                (correlation_id,) = struct.unpack_from(">i", frame, 4)
                if correlation_id in doomed:
                    return
                await asyncio.sleep(late_s.pop(correlation_id, self._delay_s))
                await self._flowing.wait()
                writer.write(frame)
                await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One request or answer, its length in front."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "big"))


def _take(plan: Counter[int], api_key: int) -> bool:
    if plan[api_key] <= 0:
        return False
    plan[api_key] -= 1
    return True
