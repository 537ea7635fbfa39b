"""What a command says where it would be silent: while no broker answers, and where there is nothing to show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.cli import tail
from stream.core.errors import DependencyError
from stream.kafka import clients
from stream.kafka.last_words import LastWords
from stream.kafka.reading import Span
from stream.settings import Settings
from tests.support.command_line import CommandLine

SERVERS = "kafka.example.com:9092"


class Client:
    """A client whose questions take their whole time-out on a clock of its own, until a broker is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers_at_s: float) -> None:
        self.now_s = 0.0
        self.last_words = LastWords({"bootstrap.servers": SERVERS})
        self._answers_at_s = answers_at_s
        monkeypatch.setattr(clients.time, "monotonic", lambda: self.now_s)

    def poll(self, _timeout: float) -> None:
        """Nothing is heard."""

    def list_topics(self, timeout: float) -> str:
        """The metadata, or the error of a time-out."""
        if self.now_s + timeout >= self._answers_at_s:
            self.now_s = self._answers_at_s
            return "metadata"
        self.now_s += timeout
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata"))


@pytest.fixture
def llm_stream(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, Settings())


def holding(monkeypatch: pytest.MonkeyPatch, *spans: Span) -> None:
    """Let the topics hold these spans, in which there is no record."""
    monkeypatch.setattr(tail.reading, "spans", lambda *_: list(spans))
    monkeypatch.setattr(tail.reading, "read", lambda *_, **__: (each for each in ()))


def waited(llm_stream: CommandLine, monkeypatch: pytest.MonkeyPatch, answers_at_s: float) -> Sequence[str]:
    """What `tail` says while it waits for a broker that answers then."""
    client = Client(monkeypatch, answers_at_s)
    met: list[Any] = []

    def spans(*_: Any) -> list[Span]:
        met.append(clients.metadata(client))
        return [Span("llm.requests", 0, 0, 7)]

    holding(monkeypatch)
    monkeypatch.setattr(tail.reading, "spans", spans)
    ran = llm_stream("tail", "requests")
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_a_command_that_has_waited_two_seconds_says_once_for_whom(llm_stream, monkeypatch):
    for never in (9.0, 1_000.0):
        said = waited(llm_stream, monkeypatch, never)
        assert said[0] == f"… waiting for Kafka at {SERVERS}"
        assert [line for line in said if "waiting" in line] == said[:1]


def test_a_broker_that_answers_soon_is_not_waited_for_aloud(llm_stream, monkeypatch):
    assert not any("waiting" in line for line in waited(llm_stream, monkeypatch, 1.0))


def test_who_does_not_listen_hears_nothing(monkeypatch, capfd):
    """As a worker, whose log has lines of its own."""
    monkeypatch.setattr(clients.WAITING, "handlers", [])
    with pytest.raises(DependencyError):
        clients.metadata(Client(monkeypatch, 1_000.0))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spans", "arguments", "said"),
    [
        ([Span("llm.audit", 0, 0, 0), Span("llm.audit", 1, 0, 0)], [], "llm.audit holds nothing yet"),
        ([Span("llm.a", 0, 0, 0), Span("llm.b", 0, 0, 0)], [], "llm.a, llm.b hold nothing yet"),
        ([Span("llm.audit", 0, 9, 9)], [], "llm.audit: no records"),
        ([Span("llm.audit", 0, 9, 9)], ["--from", "-1h"], "llm.audit: no records from -1h on"),
        ([Span("llm.audit", 0, 0, 9)], ["--task", "sum"], "llm.audit: no records about sum"),
    ],
)
def test_tail_says_where_there_is_nothing_to_show(llm_stream, monkeypatch, spans, arguments, said):
    holding(monkeypatch, *spans)
    ran = llm_stream("tail", "audit", *arguments)
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", f"{said}\n")
