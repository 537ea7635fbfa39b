"""What librdkafka says of its connections, in words for people."""

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from stream.core.errors import ConfigError
from stream.kafka import clients
from stream.kafka.last_words import LastWords
from stream.settings import Settings
from tests.support.waiting import wait_until

CONFIG = {"bootstrap.servers": "kafka.example.com:9092"}
TIMED_OUT = KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata"))
REFUSED = KafkaError(
    KafkaError._TRANSPORT,
    "kafka.example.com:9092/bootstrap: Connect to ipv4#192.0.2.7:9092 failed: Connection refused (after 3ms in state "
    "CONNECT)",
)
WRONG_PASSWORD = KafkaError(
    KafkaError._AUTHENTICATION,
    "sasl_ssl://kafka.example.com:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username "
    "or password (after 311ms in state AUTH_REQ)",
)
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")


def after(*heard: KafkaError, error: KafkaException = TIMED_OUT, **config: str) -> str:
    words = LastWords(CONFIG | {name.replace("__", "."): value for name, value in config.items()})
    for each in heard:
        words.note(each)
    return words.no_answer(error)


def test_where_nothing_was_heard_the_calls_own_error_is_told():
    said = after()
    assert said.startswith(
        "No Kafka broker answered at kafka.example.com:9092 (Failed to get metadata). Is Kafka running"
    )


def test_the_cause_is_told_without_librdkafkas_figures():
    assert after(REFUSED).startswith("No Kafka broker answered at kafka.example.com:9092: Connection refused. Is Kafka")


@pytest.mark.parametrize("heard", [(WRONG_PASSWORD, REFUSED, ALL_DOWN), (ALL_DOWN, REFUSED, WRONG_PASSWORD)])
def test_what_says_most_is_told_in_whatever_order_it_came(heard: tuple[KafkaError, ...]):
    assert "the login failed (Authentication failed: Invalid username or password). Check" in after(*heard)


def test_where_the_connection_is_closed_it_may_be_no_kafka_that_listens_there():
    said = after(ALL_DOWN)
    assert "closes it without a word. The port may want TLS or a login: check" in said
    assert said.endswith(
        "Or what listens there is no Kafka: is [kafka] bootstrap_servers (or LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS) "
        "right?"
    )


def test_a_broker_that_turned_us_away_has_answered_and_one_that_is_not_there_has_not():
    words = LastWords(CONFIG)
    words.note(REFUSED)
    words.note(ALL_DOWN)
    assert not words.answered
    words.note(WRONG_PASSWORD)
    assert words.answered


def test_what_was_heard_is_forgotten_once_a_broker_answers():
    words = LastWords(CONFIG)
    words.note(REFUSED)
    words.forget()
    assert words.sentence() is None


def test_a_refusal_that_is_about_something_else_is_not_blamed_on_the_connection():
    denied = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Group authorization failed"))
    assert after(REFUSED, error=denied) == (
        "Kafka at kafka.example.com:9092 answered with an error: Group authorization failed."
    )


def test_a_broker_that_the_cluster_named_is_told_apart_from_one_that_the_settings_name():
    text = "kafka-2:29092/2: Failed to resolve 'kafka-2:29092': Name or service not known (after 2ms in state CONNECT)"
    said = after(KafkaError(KafkaError._RESOLVE, text))
    assert said.startswith("Kafka at kafka.example.com:9092 sends us on to kafka-2:29092: this machine does not know")
    assert '"advertised.listeners"' in said


def test_an_event_in_words_of_its_own_is_told_as_it_is():
    said = after(KafkaError(KafkaError._TRANSPORT, "a {strange} event\nof two lines"))
    assert "a {strange} event of two lines. Is Kafka running there" in said


@pytest.mark.parametrize("name", ["sasl__password", "ssl__key__password", "sasl__oauthbearer__client__secret"])
def test_a_secret_that_somebody_quotes_is_not_told(name: str):
    quoting = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error: no user has hunter2-hunter2 (sorry)")
    said = after(quoting, **{name: "hunter2-hunter2"})
    assert "no user has *** (sorry)" in said


def test_a_part_of_a_secret_of_several_words_is_not_told():
    quoting = KafkaError(KafkaError._AUTHENTICATION, "Unrecognized sasl.oauthbearer.config beginning at: key=hunter2")
    assert "hunter2" not in after(quoting, sasl__oauthbearer__config="principal=me key=hunter2")


def test_a_property_that_librdkafka_refuses_is_named():
    settings = Settings.model_validate({"kafka": {"properties": {"security.protocl": "SSL"}}})
    with pytest.raises(ConfigError, match=r'No such configuration property: "security.protocl"'):
        clients.producer(settings)


def test_a_login_without_a_mechanism_is_told_which_property_is_missing():
    settings = Settings.model_validate({"kafka": {"properties": {"security.protocol": "SASL_PLAINTEXT"}}})
    with pytest.raises(ConfigError, match=r'a login needs "sasl.mechanism"\. Set it, to SCRAM-SHA-512'):
        clients.producer(settings)


def test_a_clients_own_error_callback_is_told_everything_too():
    told: list[KafkaError] = []
    nobody = {"bootstrap.servers": "127.0.0.1:1", "error_cb": told.append}
    client = clients.make(Producer, nobody)
    wait_until(lambda: client.poll(0.1) and told, 30, "librdkafka says that nobody listens")
    assert "Connection refused" in (client.last_words.sentence() or "")


def test_a_client_that_nobody_polls_gathers_no_events():
    """For hours without a broker they would fill the memory."""
    nowhere = {"bootstrap.servers": "127.0.0.1:1", "group.id": "nobody", "log_level": 0}
    heard: list[KafkaError] = []
    polled = clients.make(Consumer, nowhere | {"error_cb": heard.append})
    silent = clients.make(Consumer, nowhere, polled=False)
    wait_until(lambda: polled.poll(0.1) or len(heard) > 2, 10, "events of a broker that is not there")
    assert silent.poll(0.1) is None
