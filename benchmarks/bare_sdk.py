"""The reference for calls over HTTP: the official SDK in its fastest form and nothing around it.

`python -m benchmarks.bare_sdk KIND BASE_URL SECONDS`: uvloop, the aiohttp transport, raw responses, 500 calls in the
air, a pool of as many connections, the prompt of `classify-ticket`, the reply's JSON parsed. Prints {"per_s", "cpu_us"}
of the time after every connection has been used twice.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import uvloop

from benchmarks.load import requests

IN_FLIGHT = 500
WARM_UP_CALLS = 2 * IN_FLIGHT
_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("category", "priority", "sentiment", "language", "summary")},
    "required": ["category", "priority", "sentiment", "language", "summary"],
    "additionalProperties": False,
}
_LIMITS = httpx2.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
_SYSTEM = (Path(__file__).parents[1] / "prompts" / "classify-ticket" / "v1.md").read_text().partition("# user")[0]

Call = Callable[[str], Awaitable[Any]]


def _openai(base_url: str) -> Call:
    client = openai.AsyncOpenAI(
        api_key="not-a-key",
        base_url=f"{base_url}/v1",
        max_retries=0,
        http_client=openai.DefaultAioHttpClient(limits=_LIMITS),
    )
    raw = client.chat.completions.with_raw_response
    shape: Any = {"type": "json_schema", "json_schema": {"name": "ticket", "strict": True, "schema": _SCHEMA}}

    async def call(text: str) -> Any:
        response = await raw.create(
            model="gpt-4.1-mini",
            max_tokens=300,
            messages=[{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}],
            response_format=shape,
        )
        return json.loads(json.loads(response.http_response.content)["choices"][0]["message"]["content"])

    return call


def _anthropic(base_url: str) -> Call:
    client = anthropic.AsyncAnthropic(
        api_key="not-a-key",
        base_url=base_url,
        max_retries=0,
        http_client=anthropic.DefaultAioHttpClient(limits=_LIMITS),
    )
    raw = client.messages.with_raw_response
    shape: Any = {"format": {"type": "json_schema", "schema": _SCHEMA}}

    async def call(text: str) -> Any:
        response = await raw.create(
            model="claude-haiku-4-5",
            max_tokens=300,
            system=_SYSTEM,
            messages=[{"role": "user", "content": text}],
            output_config=shape,
        )
        return json.loads(json.loads(response.http_response.content)["content"][0]["text"])

    return call


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(kind: str, base_url: str, seconds: str) -> None:
    """Call without a pause; tell how many and what they cost."""
    call = {"openai": _openai, "anthropic": _anthropic}[kind](base_url)
    texts = [json.loads(value)["body"] for _, _, value in requests(100)]
    answered = 0
    warm = asyncio.Event()

    async def caller(number: int) -> None:
        nonlocal answered
        while True:
            await call(texts[number % len(texts)])
            answered += 1
            if answered == WARM_UP_CALLS:
                warm.set()

    callers = [asyncio.create_task(caller(number)) for number in range(IN_FLIGHT)]
    await asyncio.wait([*callers, asyncio.create_task(warm.wait())], return_when=asyncio.FIRST_COMPLETED)
    before, cpu_s, began_s = answered, _cpu_s(), time.monotonic()
    await asyncio.wait(callers, timeout=float(seconds), return_when=asyncio.FIRST_EXCEPTION)
    done, passed_s = answered - before, time.monotonic() - began_s
    for failed in (task for task in callers if task.done()):
        raise RuntimeError("a call failed") from failed.exception()
    print(json.dumps({"per_s": done / passed_s, "cpu_us": (_cpu_s() - cpu_s) / done * 1e6}), flush=True)
    os._exit(0)  # with 500 calls in the air, an orderly end would take longer than it is worth


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
