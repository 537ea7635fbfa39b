"""A raw TCP server that answers HTTP requests in every wrong way, and remembers what reached it.

What it does is a `Play`: a coroutine function that is given the connection once a whole request has been read.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FaultServer:
    """`async with FaultServer() as server`: listens on 127.0.0.1, plays `server.play` for each request."""

    def __init__(self, play: Play | None = None) -> None:
        self.play: Play = play or answer(b"{}")
        self.received: list[Received] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # A header block of 100 KB must not be the server's own problem.
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                self.received.append(await _request(reader))
                await self.play(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


def response(
    body: bytes, status: int = 200, headers: Iterable[str] = (), content_type: str | None = "application/json"
) -> bytes:
    """A complete HTTP response; `headers` as whole lines."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", *headers]
    if content_type is not None:
        lines.append(f"content-type: {content_type}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(
    body: bytes | Any, status: int = 200, headers: Iterable[str] = (), content_type: str | None = "application/json"
) -> Play:
    """Answers and keeps the connection; a body that isn't bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(response(raw, status, headers, content_type))


def send(*pieces: bytes, pause_s: float = 0.0) -> Play:
    """Sends the pieces with pauses between them, and keeps the connection."""

    async def play(writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(pause_s)
            writer.write(piece)
            await writer.drain()

    return play


def send_then_close(*pieces: bytes) -> Play:
    """Sends the pieces, then FIN."""

    async def play(writer: asyncio.StreamWriter) -> None:
        await send(*pieces)(writer)
        writer.close()

    return play


def send_then_reset(*pieces: bytes) -> Play:
    """Sends the pieces, then RST."""

    async def play(writer: asyncio.StreamWriter) -> None:
        await send(*pieces)(writer)
        if pieces:
            await asyncio.sleep(0.05)  # else the reset overtakes what was sent
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return play


def send_then_hang(*pieces: bytes) -> Play:
    """Sends the pieces, then nothing until the server ends."""

    async def play(writer: asyncio.StreamWriter) -> None:
        await send(*pieces)(writer)
        await asyncio.Event().wait()

    return play
