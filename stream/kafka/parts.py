"""What a worker is made of."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from stream.core.pipeline import Pipeline
from stream.core.settlement import SettlePolicy
from stream.core.starting import Start, Stopped
from stream.kafka.assignment import Assignment, TopicPartition
from stream.kafka.attempts import Committer
from stream.kafka.intake import Owner, Reader
from stream.kafka.member_commits import Commit
from stream.kafka.scheduler import Admission
from stream.kafka.threads import Serial, SerialThread
from stream.telemetry.watch import Watch


@dataclass(frozen=True, slots=True)
class Parts:
    """`app` wires it.

    make_intake: a member of the group that reports to the given owner. make_committer: given how to commit offsets as
    that member (at least once needs it). policy: how outcomes of requests of a topic, and of the id it was judged with,
    are settled now. judge: where partitions start, as far as their brokers answer (blocking; raises KafkaException or
    one of our errors while none can be asked). admissions: gates by provider name. topic_ids: of the request topics, as
    they are now. broker_answers: whether one does, within seconds (blocking). holds_no_record: whether a range that was
    passed over is empty indeed (blocking; raises KafkaException); None where reading can't skip. accepted: what this
    worker was told to accept, (flag, partition) pairs; `judge` does it, for partitions that are ours.
    """

    make_intake: Callable[[Assignment, Owner], Reader]
    make_committer: Callable[[Callable[[Sequence[Commit]], None]], Committer]
    pipeline: Pipeline
    policy: Callable[[str, str | None], SettlePolicy]
    judge: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, Start | Stopped]]
    admissions: Mapping[str, Admission]
    topic_ids: Callable[[], Mapping[str, str | None]]
    broker_answers: Callable[[], bool]
    watch: Watch
    now_ms: Callable[[], int]
    make_thread: Callable[[str], Serial] = SerialThread
    holds_no_record: Callable[[TopicPartition, int, int], bool] | None = None
    accepted: Collection[tuple[str, TopicPartition]] = ()
