"""Topics with requests and a hand-made worker beside them: what `reconcile` and `lag` are tried on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from stream.kafka.accounting.accounts import PartitionReport, Verdict
from stream.kafka.accounting.reconcile import Question, Report, reconcile
from stream.kafka.local import LocalKafka
from stream.settings import Settings
from tests.support.hand_made_worker import HandMadeWorker, settings_for
from tests.support.kafka import Topics, Unsent, produce

GROUP = "invoices"


@dataclass
class Scene:
    """Fresh topics with ten requests in partition 0, and a worker to write outcomes."""

    kafka: LocalKafka
    topics: Topics
    worker: HandMadeWorker
    settings: Settings

    def check(self, **question: object) -> Report:
        return reconcile(self.settings, Question(**{"patience_s": 10.0, **question}))  # type: ignore[arg-type]

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers})

    def delete_before(self, topic: str, offset: int, partition: int = 0) -> None:
        admin = self.admin()
        for future in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            future.result(10)

    def send(self, number: int, partition: int = 0) -> None:
        requests = [
            Unsent(b'{"id": "inv-%d"}' % each, b"k", (("ce_id", b"inv-%d" % each),), partition)
            for each in range(number)
        ]
        produce(self.kafka.bootstrap_servers, self.topics.requests, requests)


@contextmanager
def made_scene(kafka: LocalKafka, topics: Topics) -> Iterator[Scene]:
    """A scene whose partition 0 has ten requests."""
    worker = HandMadeWorker(kafka.bootstrap_servers, topics, GROUP)
    scene = Scene(kafka, topics, worker, settings_for(kafka.bootstrap_servers, topics, GROUP))
    scene.send(10)
    yield scene
    worker.close()


def counts(report: Report) -> dict[str, int]:
    """The verdicts that were given at all."""
    return {verdict.value: report.total(verdict) for verdict in Verdict if report.total(verdict)}


def only(report: Report) -> PartitionReport:
    """The one partition's report."""
    (partition,) = report.partitions
    return partition
