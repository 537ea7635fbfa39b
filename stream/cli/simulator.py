"""`llm-stream simulator`: a provider that behaves like the real ones, on bad days too."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer

from stream.cli import output
from stream.core.counting import counted
from stream.core.errors import ConfigError
from stream.simulator import Script, Simulator, storms
from stream.simulator.faults import OPTIONS


def simulator(
    host: Annotated[str, typer.Option(help="Where to listen. The admin paths have no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8089,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed and calls give the same replies, latencies, faults.")
    ] = 0,
    script: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file of faults and quotas, see docs/simulator.md.")
    ] = None,
    storm: Annotated[
        str | None, typer.Option(metavar="NAME", help="A built-in script: one of the storms above.")
    ] = None,
    latency_ms: Annotated[
        float, typer.Option(min=0, max=600_000, metavar="MS", help="Median time before a reply.")
    ] = 300.0,
    latency_sigma: Annotated[
        float, typer.Option(min=0, max=5, metavar="SIGMA", help="Spread of the log-normal latency.")
    ] = 0.4,
    reject_key: Annotated[str, typer.Option(metavar="KEY", help="The API key that is answered with 401.")] = "wrong",
) -> None:
    """A provider that misbehaves on command: Anthropic Messages and OpenAI Chat Completions. Ctrl-C ends it."""
    played = _chosen(script, storm)
    server = Simulator(
        script=played,
        seed=seed,
        latency_ms=latency_ms,
        latency_sigma=latency_sigma,
        reject_key=reject_key,
        host=host,
        port=port,
    )
    try:
        _run(_serve(server, _in_words(played, storm)))
    except ConfigError as error:
        output.error(f"{error} --port takes another port; --port 0 takes any free one.")
        raise typer.Exit(2) from None


simulator.__doc__ = f"{simulator.__doc__}\n\n\b\nStorms, in seconds from the first call:\n{storms.listing()}"


def _chosen(script: Path | None, storm: str | None) -> Script:
    """What is to be played. Ends the command with exit code 2 if that can't be."""
    if script and storm:
        output.error("--storm and --script are both given: a storm is a script. Leave one of them out.")
        raise typer.Exit(2)
    try:
        if storm is not None:
            return storms.script_of(storm)
        return Script.load(script, OPTIONS) if script else Script()
    except ConfigError as error:
        output.error(f"--storm: {error}" if storm is not None else f"The script can't be used: {error}")
        raise typer.Exit(2) from None


def _in_words(played: Script, storm: str | None) -> str:
    tables = ((played.faults, "fault"), (played.quotas, "quota"), (played.cuts, "cut"))
    laid = ", ".join(counted(len(entries), word) for entries, word in tables if entries)
    if not laid:
        return "no faults"
    return f"storm {storm}: {laid}" if storm else f"{laid} in the script"


async def _serve(server: Simulator, laid: str) -> None:
    stopped = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stopped.set)
    async with server:
        output.say(
            f'simulator at {server.base_url} ({laid}); set base_url = "{server.base_url}" for Anthropic,'
            f' "{server.base_url}/v1" for OpenAI, with any key but the rejected one'
        )
        await stopped.wait()


def _run(main: Coroutine[None, None, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
