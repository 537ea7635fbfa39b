"""A provider over HTTP that costs next to nothing: the same reply to everybody after a fixed latency.

`python -m benchmarks.http_server LATENCY_MS` prints its port. It reads only as much HTTP/1.1 as the SDKs write:
keep-alive, a Content-Length, no pipelining.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

from benchmarks.replies import ANTHROPIC_BODY, OPENAI_BODY

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


_OPENAI, _ANTHROPIC = _response(OPENAI_BODY), _response(ANTHROPIC_BODY)


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._received = bytearray()
        self._needed = 0
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which isn't a subclass

    def data_received(self, data: bytes) -> None:
        """Answer once the request is whole."""
        self._received += data
        if not self._needed:
            head_end = self._received.find(b"\r\n\r\n")
            if head_end < 0:
                return
            length = _LENGTH.search(self._received, 0, head_end)
            self._needed = head_end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= self._needed:
            reply = _ANTHROPIC if b"/messages" in self._received[:64] else _OPENAI
            self._received.clear()
            self._needed = 0
            self._loop.call_later(self._latency_s, self._answer, reply)

    def _answer(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def main(latency_ms: str) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(int(latency_ms) / 1_000), "127.0.0.1", 0, backlog=1_024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
