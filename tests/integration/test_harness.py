"""The harness itself: the broker, the proxy, child processes and the reader do what the other tests rely on."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from stream.core.errors import DependencyError
from stream.kafka.local import LocalKafka
from stream.kafka.local_libs import ensure_libs
from tests.support.kafka import Topics, Unsent, create_topic, produce, read_all
from tests.support.ledger_check import check_topics
from tests.support.processes import CHECKOUT, Child
from tests.support.proxy import ApiKey, KafkaProxy
from tests.support.waiting import wait_until, wait_until_async

MakeTopics = Callable[..., Topics]


def source_headers(topic: str, partition: int, offset: int, request_id: str) -> tuple[tuple[str, bytes], ...]:
    values = {"topic": topic, "partition": partition, "offset": offset, "group": "workers"}
    return (
        *((f"llm.source.{name}", str(value).encode()) for name, value in values.items()),
        ("ce_causationid", request_id.encode()),
    )


def transactional(bootstrap_servers: str, **config: Any) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": f"tx-{os.urandom(4).hex()}",
            "transaction.timeout.ms": 5_000,
            "retry.backoff.ms": 10,
            "reconnect.backoff.ms": 10,
            "log_level": 0,
            **config,
        }
    )
    producer.init_transactions(10)
    return producer


# the broker


def test_a_start_that_is_given_up_ends_long_before_the_broker_would_answer(tmp_path: Path) -> None:
    broker = LocalKafka(ensure_libs(), tmp_path)
    with ThreadPoolExecutor(1) as other:
        starting = other.submit(broker.start)
        wait_until(lambda: (tmp_path / "server.properties").exists(), 10, "the start is under way")
        broker.give_up()
        with pytest.raises(DependencyError):
            starting.result(timeout=10)
    assert not broker.log_file.exists()  # it had not even come to starting the broker
    assert broker.pid is None


def test_records_are_read_back_in_order_with_keys_headers_and_partitions(kafka: LocalKafka, topics: MakeTopics) -> None:
    topic = topics(partitions=3).requests
    unsent = [Unsent(b"%d" % n, b"key", (("name", b"value"),), partition=n % 3, id=str(n)) for n in range(300)]
    sent = produce(kafka.bootstrap_servers, topic, unsent)
    records = read_all(kafka.bootstrap_servers, topic)
    assert [(r.partition(), r.offset(), r.value()) for r in records] == sorted(
        (s.partition, s.offset, (s.id or "").encode()) for s in sent
    )
    assert {(r.key(), tuple(r.headers() or ())) for r in records} == {(b"key", (("name", b"value"),))}


def test_an_empty_topic_is_read_to_its_end_at_once(kafka: LocalKafka, topics: MakeTopics) -> None:
    assert read_all(kafka.bootstrap_servers, topics().results) == []


def test_aborted_records_are_not_read_and_their_markers_do_not_hold_up_the_reader(
    kafka: LocalKafka, topics: MakeTopics
) -> None:
    topic = topics(partitions=1).results
    producer = transactional(kafka.bootstrap_servers)
    for value, end in ((b"committed", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        end(10)
    assert [record.value() for record in read_all(kafka.bootstrap_servers, topic)] == [b"committed"]


def test_an_open_transaction_ends_the_reader_with_an_error_instead_of_a_hang(
    kafka: LocalKafka, topics: MakeTopics
) -> None:
    topic = topics(partitions=1).results
    producer = transactional(kafka.bootstrap_servers)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(10)
    with pytest.raises(AssertionError, match="open transaction"):
        read_all(kafka.bootstrap_servers, topic, deadline_s=1)
    producer.abort_transaction(10)


def test_a_killed_broker_comes_back_on_the_same_port_with_its_records(own_kafka: LocalKafka) -> None:
    create_topic(own_kafka.bootstrap_servers, "kept")
    produce(own_kafka.bootstrap_servers, "kept", [Unsent(b"still here")])
    address, pid = own_kafka.bootstrap_servers, own_kafka.pid
    own_kafka.kill()
    own_kafka.start()
    assert own_kafka.bootstrap_servers == address
    assert own_kafka.pid != pid
    assert [record.value() for record in read_all(address, "kept")] == [b"still here"]


def test_a_paused_broker_is_silent_until_it_is_resumed(own_kafka: LocalKafka) -> None:
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers, "log_level": 0})
    admin.list_topics(timeout=10)

    def answers() -> bool:
        try:
            return bool(admin.list_topics(timeout=0.3).brokers)
        except KafkaException:
            return False

    own_kafka.pause()
    wait_until(lambda: not answers(), 10, "the broker is silent")  # what was under way may still be answered
    own_kafka.resume()
    wait_until(answers, 30, "it answers again")


def test_a_broker_that_cannot_start_says_why_at_once(kafka: LocalKafka, tmp_path: Path) -> None:
    rival = LocalKafka(ensure_libs(), tmp_path, port=kafka.port)
    with pytest.raises(DependencyError, match="Address already in use"):
        rival.start()
    assert rival.pid is None


def test_a_second_broker_over_the_same_data_is_refused_before_it_writes(own_kafka: LocalKafka) -> None:
    data = own_kafka.log_file.parent
    before = own_kafka.log_file.stat().st_size
    rival = LocalKafka(ensure_libs(), data, port=own_kafka.port)
    with pytest.raises(DependencyError, match=rf"runs in .* already \(process {os.getpid()}\)"):
        rival.start()
    assert own_kafka.log_file.stat().st_size == before
    own_kafka.restart()


def test_a_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib\n"
        "from stream.kafka.local import LocalKafka\n"
        "from stream.kafka.local_libs import ensure_libs\n"
        "kafka = LocalKafka(ensure_libs(), pathlib.Path(sys.argv[1]))\n"
        "kafka.start()\n"
        "print('pid', kafka.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with Child("-c", script, tmp_path / "data", log=tmp_path / "parent.log") as parent:
        wait_until(lambda: "pid" in parent.output, 30, lambda: parent.output)
        broker_pid = int(parent.output.split()[-1])
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{broker_pid}/cmdline").exists(), 10, "the broker is gone")


# the proxy


def test_a_client_works_through_the_proxy(kafka: LocalKafka, topics: MakeTopics, proxy: KafkaProxy) -> None:
    topic = topics().requests
    produce(proxy.bootstrap_servers, topic, [Unsent(b"through")])
    assert proxy.requests(ApiKey.PRODUCE) == 1
    assert [record.value() for record in read_all(proxy.bootstrap_servers, topic)] == [b"through"]


def test_a_lost_answer_to_produce_is_survived_without_a_double(
    kafka: LocalKafka, topics: MakeTopics, proxy: KafkaProxy
) -> None:
    topic = topics(partitions=1).requests
    proxy.lose_response(ApiKey.PRODUCE)
    produce(proxy.bootstrap_servers, topic, [Unsent(b"once")])
    assert proxy.lost(ApiKey.PRODUCE) == 1
    assert proxy.requests(ApiKey.PRODUCE) == 2
    assert [record.value() for record in read_all(kafka.bootstrap_servers, topic)] == [b"once"]


@pytest.mark.parametrize("lose", [KafkaProxy.lose_response, KafkaProxy.lose_request])
def test_a_commit_whose_request_or_answer_is_lost_can_be_resumed(
    kafka: LocalKafka, topics: MakeTopics, proxy: KafkaProxy, lose: Callable[[KafkaProxy, ApiKey], None]
) -> None:
    topic = topics(partitions=1).results
    producer = transactional(proxy.bootstrap_servers)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    lose(proxy, ApiKey.END_TXN)
    producer.commit_transaction(10)
    assert proxy.lost(ApiKey.END_TXN) == 1
    assert [record.value() for record in read_all(kafka.bootstrap_servers, topic)] == [b"committed"]


def test_cut_connections_are_made_anew(kafka: LocalKafka, topics: MakeTopics, proxy: KafkaProxy) -> None:
    topic = topics(partitions=1).results
    producer = transactional(proxy.bootstrap_servers)
    for value in (b"before", b"after"):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.commit_transaction(10)
        proxy.cut()
    assert [record.value() for record in read_all(kafka.bootstrap_servers, topic)] == [b"before", b"after"]


@pytest.mark.parametrize("fault", [KafkaProxy.refuse, KafkaProxy.black_hole])
def test_nothing_passes_until_the_proxy_is_healed(
    topics: MakeTopics, proxy: KafkaProxy, fault: Callable[[KafkaProxy], None]
) -> None:
    topic = topics(partitions=1).results
    producer = transactional(proxy.bootstrap_servers, **{"reconnect.backoff.max.ms": 100})
    producer.begin_transaction()
    producer.produce(topic, b"held back")
    fault(proxy)
    with pytest.raises(KafkaException) as failure:
        producer.commit_transaction(0.5)
    assert failure.value.args[0].retriable()
    proxy.heal()
    producer.commit_transaction(10)
    assert [record.value() for record in read_all(proxy.bootstrap_servers, topic)] == [b"held back"]


def test_a_delayed_answer_comes_late_and_only_until_the_proxy_is_healed(kafka: LocalKafka, proxy: KafkaProxy) -> None:
    admin = AdminClient({"bootstrap.servers": proxy.bootstrap_servers, "log_level": 0})
    admin.list_topics(timeout=10)
    proxy.delay(1.0)
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=0.5)
    proxy.heal()
    assert admin.list_topics(timeout=10).brokers


# the ledger checker, on topics


def test_the_checker_sees_a_doubled_and_a_lost_request_on_real_topics(kafka: LocalKafka, topics: MakeTopics) -> None:
    names = topics(partitions=2)
    sent = produce(
        kafka.bootstrap_servers,
        names.requests,
        [Unsent(b"?", b"key", partition=n % 2, id=f"id-{n}") for n in range(10)],
    )
    first, second, *others = [
        Unsent(b"!", b"key", source_headers(s.topic, s.partition, s.offset, s.id or "")) for s in sent
    ]
    produce(kafka.bootstrap_servers, names.results, [first, *others, others[-1]])
    arguments = {"results": names.results, "dlq": names.dlq, "group": "workers"}
    report = check_topics(kafka.bootstrap_servers, sent, **arguments)
    assert {name: len(found) for name, found in report.faults.items() if found} == {"lost": 1, "doubled": 1}
    produce(kafka.bootstrap_servers, names.dlq, [second])
    assert check_topics(kafka.bootstrap_servers, sent, **arguments).lost == []


# child processes and waiting


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    with Child("-c", "print('up'); import time; time.sleep(600)", log=tmp_path / "child.log") as child:
        wait_until(lambda: child.output, 10, "the child speaks")
        yield child


def test_a_child_is_paused_resumed_and_ended(sleeper: Child) -> None:
    def state() -> str:
        return Path(f"/proc/{sleeper.pid}/stat").read_text().rsplit(")")[-1].split()[0]

    sleeper.pause()
    wait_until(lambda: state() == "T", 5, "the child is stopped")
    sleeper.resume()
    wait_until(lambda: state() != "T", 5, "the child goes on")
    sleeper.terminate()
    assert sleeper.wait(10) == -15
    assert not sleeper.running


def test_a_killed_child_is_gone_at_once(sleeper: Child) -> None:
    sleeper.kill()
    assert sleeper.wait(0) == -9


def test_a_child_that_does_not_end_in_time_fails_the_test_with_its_last_words(sleeper: Child) -> None:
    with pytest.raises(AssertionError, match=r"(?s)still runs after 0\.1 s.*up"):
        sleeper.wait(0.1)


async def test_waiting_ends_with_the_value_or_with_a_message() -> None:
    ticks = iter([0, 0, 7])
    assert await wait_until_async(lambda: next(ticks), 5, "a truthy value") == 7
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the impossible"):
        await wait_until_async(lambda: False, 0.05, "the impossible")


# nothing skipped


@pytest.mark.parametrize(
    "body",
    [
        "import pytest\n\n@pytest.mark.skip\ndef test_left_out(): ...",
        "import pytest\n\n@pytest.mark.xfail\ndef test_left_out(): assert False",
        "import pytest\n\npytest.importorskip('a_module_nobody_has')\n\ndef test_left_out(): ...",
    ],
    ids=["skip", "xfail", "importorskip"],
)
def test_a_skipped_test_is_a_failure(tmp_path: Path, body: str) -> None:
    (tmp_path / "test_left_out.py").write_text(body)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.no_skips", "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=False,
    )
    assert done.returncode in (1, 2), done.stdout
    assert "here every test runs and passes" in done.stdout
