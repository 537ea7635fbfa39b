"""One call being served: what faults and the normal reply have at hand."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from stream.simulator.ask import Ask, Billed, Dialect, Refused, Reply
from stream.simulator.chance import digest
from stream.simulator.composer import Composer
from stream.simulator.entries import Fault
from stream.simulator.ledger import Call
from stream.simulator.metering import Metering
from stream.simulator.prompt_cache import PromptCache

HANG_S = 600.0
"""So long is a client kept waiting at most."""


@dataclass(slots=True)
class Turn:
    """A call that is fit to be answered. fault: an entry with defaults where none is laid on it."""

    request: web.BaseRequest
    dialect: Dialect
    ask: Ask
    fault: Fault
    call: Call
    call_id: str
    latency_s: float
    composer: Composer
    cache: PromptCache
    metering: Metering

    async def reply(self, *, filler: str | None = None, prose: str | None = None) -> Reply:
        """The good reply, after the latency, cut where `max_tokens` ends it. filler, prose: see `Scene`.

        Raises Refused, at once, if the quota has no room for the call.
        """
        self.metering.admit(self.ask, self.cache)
        if self.latency_s > 0:
            await asyncio.sleep(self.latency_s)
        reply = self.composer.reply(self.ask, filler=filler, prose=prose)
        if self.ask.max_tokens is not None and reply.output_tokens > self.ask.max_tokens:
            return self.dialect.cut(reply, self.ask.max_tokens)
        return reply

    def body(self, reply: Reply) -> bytes:
        """The reply in the provider's format; the call is billed and the quota charged."""
        read, written = self.cache.counted(self.ask, self.call.key)
        billed = Billed(max(self.ask.input_tokens, read + written), reply.output_tokens, read, written)
        self.call.input_tokens, self.call.output_tokens = billed.input_tokens, billed.output_tokens
        self.metering.produced(billed.output_tokens)
        return self.dialect.write(self.ask, reply, billed, self.call_id)

    def sent(self, reply: Reply) -> web.Response:
        """The reply as a response."""
        return self.raw(self.body(reply))

    @property
    def content_type(self) -> str:
        """Of a normal answer."""
        return "text/event-stream" if self.ask.stream else "application/json"

    def raw(
        self, body: bytes, *, status: int = 200, content_type: str = "", headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """Any bytes with any status, under the provider's usual headers."""
        self.call.status = status
        every = {
            "content-type": content_type or self.content_type,
            **self.metering.headers(self.call_id),
            **(headers or {}),
        }
        return web.Response(body=body, status=status, headers=every)

    def error(self, word: str, headers: Mapping[str, str] | None = None) -> web.Response:
        """A row of the dialect's error table as a response."""
        status, error = self.dialect.error(Refused(word), self.call_id, self.ask.model)
        return self.raw(orjson.dumps(error), status=status, content_type="application/json", headers=headers)

    async def begun(self, size: int) -> web.StreamResponse:
        """A response whose head promises `size` bytes and is sent at once; the body is written by the caller."""
        self.call.status = 200
        response = web.StreamResponse(
            headers={
                "content-type": self.content_type,
                "content-length": str(size),
                **self.metering.headers(self.call_id),
            }
        )
        await response.prepare(self.request)
        return response

    async def silence(self) -> web.StreamResponse:
        """Say nothing until the client goes, 600 s at most."""
        await asyncio.sleep(HANG_S)
        self.close()
        return web.Response()

    def close(self, *, reset: bool = False) -> None:
        """End the connection: in order (FIN), or reset (RST), as a crashed peer would."""
        transport = self.request.transport
        if transport is None:
            return
        if reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()

    def drawn(self, purpose: str, count: int) -> int:
        """A number in [0, count), from the seed and the user's text."""
        return digest(self.composer.seed, purpose, self.ask.user) % count
