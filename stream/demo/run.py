"""The demo from its first line to its exit code."""

import asyncio
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stream import app
from stream.core.counting import counted
from stream.demo import accounts_page
from stream.demo.brokers import LOCAL, Ground, ground
from stream.demo.page import Page
from stream.demo.performance import Ending, Performance, Stage, load_sdks
from stream.demo.plot import plot_for
from stream.demo.requests import requests, without_own_topics
from stream.demo.samples import Sample, own_tasks, samples_of
from stream.demo.screen import show
from stream.kafka.accounting.reconcile import Report
from stream.kafka.threads import SerialThread
from stream.settings import Settings
from stream.settings.environment import variable_for
from stream.settings.model import TopicSettings
from stream.tasks import Catalogue

ENDED = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The exit codes of a demo that was ended from outside."""

Words = Callable[[Report, str, int], Iterable[tuple[str, str]]]
"""What a reconciliation found as (mark, sentence): marks `passed`, `failed`, `noted`, `plain`."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for.

    base: the settings to start from; its tasks are the user's own if `config` names their file, else ours are shown.
    kafka: empty, "local", or an address. words: puts a reconciliation into words. program: how commands are typed.
    """

    base: Settings
    config: Path | None
    seed: int
    records: int
    keep: bool
    kafka: str
    words: Words
    program: str = "llm-stream"


def demo(wishes: Wishes, console: Console) -> int:
    """Run it and show it: the exit code. Raises ConfigError, DependencyError."""
    folder = Path(wishes.base.tasks.path) if wishes.config else own_tasks()
    settings = wishes.base.model_copy(update={"tasks": wishes.base.tasks.model_copy(update={"path": str(folder)})})
    tasks = without_own_topics(app.catalogue(settings))
    samples = {task: samples_of(task, folder) for task in tasks.tasks}
    return app.on_a_loop(_Demo(wishes, settings, tasks, samples, console).until_a_signal())


def exit_code(ending: Ending) -> int:
    """0 only if the accounts balance and reconcile has proven it."""
    return 0 if not ending.accounts.problems() and ending.report.balanced else 1


class _Demo:
    def __init__(
        self,
        wishes: Wishes,
        settings: Settings,
        tasks: Catalogue,
        samples: Mapping[str, Sequence[Sample]],
        console: Console,
    ) -> None:
        self._wishes, self._settings, self._tasks, self._samples = wishes, settings, tasks, samples
        self._console = console
        self._ending: Ending | None = None

    async def until_a_signal(self) -> int:
        """The whole demo, or as much of it as a signal leaves."""
        signals: list[signal.Signals] = []
        ended = asyncio.Event()
        for each in ENDED:

            def received(name: str) -> None:
                signals.append(signal.Signals[name])
                ended.set()

            app.stop_on_signals(received, (each,))
        whole = asyncio.create_task(self._whole())
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait({whole, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if whole.done():
            return whole.result()
        whole.cancel()
        await asyncio.wait({whole})
        self._print([Text(), Text(f"Ended by {signals[0].name}: worker, broker and simulator are stopped.")])
        if self._ending is not None:  # it had come to its end and was only kept
            return exit_code(self._ending)
        return ENDED[signals[0]]

    async def _whole(self) -> int:
        wishes = self._wishes
        stage = Stage(show(self._console, intro(wishes, self._tasks)), time.monotonic(), wishes.records)
        async with AsyncExitStack() as shown:
            await shown.enter_async_context(stage.painting())
            loader = SerialThread("sdks")  # a daemon: Ctrl-C needn't wait for what nobody needs any more
            loading = asyncio.create_task(loader.run(lambda: load_sdks(self._settings, self._tasks)))
            async with ground(wishes.kafka, self._settings, stage.say) as found:
                if not loading.done():
                    stage.say("loading the providers' SDKs", "quiet")
                await loading
                performance = self._performance(found, stage)
                if wishes.keep:
                    async with performance.running():
                        await performance.acts()
                        self._ending = await performance.settle()
                        await shown.aclose()
                        self._tell(self._ending)
                        self._print(kept(found, self._ending, wishes))
                        await performance.stay()
                async with performance.running():
                    await performance.acts()
                self._ending = await performance.settle()
        self._tell(self._ending)
        self._print(afterwards(wishes, list(self._tasks.tasks)))
        return exit_code(self._ending)

    def _performance(self, found: Ground, stage: Stage) -> Performance:
        wishes = self._wishes
        topic = found.settings.topics.requests[0]
        outgoing = requests(self._samples, wishes.records, wishes.seed, topic, app.CLOCK.now_ms)
        return Performance(found, self._tasks, outgoing, plot_for(wishes.records), wishes.seed, stage)

    def _tell(self, ending: Ending) -> None:
        group = ending.group_id
        proof = list(self._wishes.words(ending.report, group, app.CLOCK.now_ms()))
        width = self._console.width if self._console.is_terminal else None
        self._print([Text(), *accounts_page.page(ending.accounts, proof, width)])

    def _print(self, lines: Iterable[Text]) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)


def intro(wishes: Wishes, tasks: Catalogue) -> list[str]:
    """What is about to run, where, and what delivery that allows."""
    if not wishes.kafka:
        where = "broker (librdkafka's mock cluster), worker, simulated provider: in this process"
        promise = "delivery: at least once (this broker has no transactions; --kafka local has)"
    elif wishes.kafka == LOCAL:
        where = "a real Kafka on this machine; worker and simulated provider in this process"
        promise = "delivery: exactly once (results and offsets in one transaction)"
    else:
        where = f"Kafka at {wishes.kafka}; worker and simulated provider in this process"
        promise = "delivery: exactly once, on topics of the demo's own, which it removes in the end"
    source = f" of {wishes.config}" if wishes.config else ""
    return [where, promise, f"{counted(wishes.records, 'request')} for {', '.join(tasks.tasks)}{source}"]


def afterwards(wishes: Wishes, tasks: Sequence[str]) -> list[Text]:
    """What to type next; none of it needs the broker that has ended."""
    command = f"{wishes.program} -c {shlex.quote(str(wishes.config))}" if wishes.config else wishes.program
    rows = [
        ("one request from prompt to result; needs no Kafka and no key", f"try {tasks[-1]}"),
        ("the same with a broken reply", f"try {tasks[-1]} --fault truncate"),
        ("this again, and time to look around", "demo --keep"),
    ]
    if not wishes.kafka:
        rows.append(("this exactly once, on a real Kafka (Java 17+)", "demo --kafka local"))
    paper = Page()
    paper.lines.append(Text())
    paper.line(("Next", "bold cyan"), indent="")
    for says, arguments in rows:
        paper.line((f"# {says}", "dim"))
        paper.line((f"{command} {arguments}", "bold"))
    return paper.lines


def kept(found: Ground, ending: Ending, wishes: Wishes) -> list[Text]:
    """What to type in another terminal, while everything is kept running."""
    config = [f"LLM_STREAM_CONFIG={shlex.quote(str(wishes.config.resolve()))}"] if wishes.config else []
    variables = [*config, *(f"{name}={shlex.quote(value)}" for name, value in environment(found.settings))]
    program = wishes.program
    commands = [f"{program} {each}" for each in ("tail dlq", "dlq list", "lag", "reconcile --cost")]
    if ending.example_id:
        commands.insert(1, f"{program} find {shlex.quote(ending.example_id)}")
    lines = [Text(), Text("Everything goes on running until Ctrl-C. In another terminal:", "bold cyan"), Text()]
    lines += [Text(f"  export {variable}") for variable in variables]
    lines.append(Text())
    lines += [Text(f"  {command}", "bold") for command in commands]
    return lines


def environment(settings: Settings) -> Iterator[tuple[str, str]]:
    """The variables that lead other commands to the demo's topics: those that aren't at their default."""
    yield variable_for(("kafka", "bootstrap_servers")), settings.kafka.bootstrap_servers
    yield variable_for(("kafka", "group_id")), settings.kafka.group_id
    if settings.worker.delivery != "exactly_once":
        yield variable_for(("worker", "delivery")), settings.worker.delivery
    defaults = TopicSettings()
    for name in ("results", "dlq", "audit", "decisions", "control"):
        if getattr(settings.topics, name) != getattr(defaults, name):
            yield variable_for(("topics", name)), getattr(settings.topics, name)
    if settings.topics.requests != defaults.requests:
        listed = ", ".join(f'"{name}"' for name in settings.topics.requests)
        yield variable_for(("topics", "requests")), f"[{listed}]"
