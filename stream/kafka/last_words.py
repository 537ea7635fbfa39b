"""What librdkafka said last, kind by kind, and what that means to a person. No I/O.

librdkafka answers a call with "Broker transport failure", whatever the trouble is; the cause comes beside it, as events
of its `error_cb`. The texts that are known here are those of librdkafka 2.16 with Apache Kafka 4.1, tried on a real
broker by `tests/integration/test_broker_refusals.py`.

Promise: no sentence holds a value of a property that is a secret, not even where librdkafka or a broker quotes it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError

from stream.settings import properties

_PROPERTIES = "under [kafka.properties]"
_SERVERS = "[kafka] bootstrap_servers (or LLM_STREAM__KAFKA__BOOTSTRAP_SERVERS)"
_NO_ANSWER = "No Kafka broker answered at {servers}"
_NO_ENTRY = "Kafka at {servers} does not let us in"
_NO_TLS = "No TLS connection to Kafka at {servers}"
_AUTHENTICATION = KafkaError._AUTHENTICATION  # noqa: SLF001  (how the library spells its own codes)
_SSL = KafkaError._SSL  # noqa: SLF001
_RESOLVE = KafkaError._RESOLVE  # noqa: SLF001
_TRANSPORT = KafkaError._TRANSPORT  # noqa: SLF001
_ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_ANY = frozenset({_AUTHENTICATION, _SSL, _RESOLVE, _TRANSPORT})


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of trouble: by which event it is known, and how it is told.

    meaning, remedy: may name the groups of `text`, and `servers`, `broker` (host and port), `protocol`, `mechanism`.
    first_contact: True: only before the cluster is known; False: only for a broker that the cluster named.
    answered: whether a broker has answered by it, so that waiting won't change it.
    """

    codes: frozenset[int]
    text: re.Pattern[str]
    lead: str
    meaning: str
    remedy: str
    first_contact: bool | None = None
    answered: bool = False


_KINDS = (
    _Kind(
        frozenset({_AUTHENTICATION}),
        re.compile(r"Unsupported SASL mechanism: broker's supported mechanisms: (?P<known>.*)"),
        _NO_ENTRY,
        "it takes no logins of the kind {mechanism}, but of these: {known}",
        f'Set "sasl.mechanism" {_PROPERTIES} to one of them.',
        answered=True,
    ),
    _Kind(
        frozenset({_AUTHENTICATION}),
        re.compile("Request not valid in current SASL state"),
        _NO_ENTRY,
        'that port takes no logins, and "security.protocol" is {protocol}',
        f"Set it to PLAINTEXT (or SSL) {_PROPERTIES}, or name the port that takes logins in {_SERVERS}.",
        answered=True,
    ),
    _Kind(
        frozenset({_AUTHENTICATION}),
        re.compile(r"(?:SASL authentication error: )?(?P<detail>.*)"),
        _NO_ENTRY,
        "the login failed ({detail})",
        f'Check "sasl.username", "sasl.password" and "sasl.mechanism" {_PROPERTIES} '
        "(the password is best set as LLM_STREAM__KAFKA__PROPERTIES__SASL_PASSWORD).",
        answered=True,
    ),
    _Kind(
        _ANY,
        re.compile("certificate verify failed"),
        _NO_TLS,
        "the broker's certificate could not be verified",
        f'Is "ssl.ca.location" {_PROPERTIES} the CA that signed it, and is the host name the one it was made for?',
        answered=True,
    ),
    _Kind(
        _ANY,
        re.compile("alert (bad certificate|certificate required|unknown ca)"),
        _NO_TLS,
        "the broker does not accept our certificate, or wants one and got none",
        f'Set "ssl.certificate.location" and "ssl.key.location" {_PROPERTIES}.',
        answered=True,
    ),
    _Kind(
        _ANY,
        re.compile("connecting to a PLAINTEXT broker listener|wrong version number"),
        _NO_TLS,
        'the port does not speak TLS, but "security.protocol" is {protocol}',
        f"Set it to {{without_tls}} {_PROPERTIES}, or name the broker's TLS port in {_SERVERS}.",
        answered=True,
    ),
    _Kind(
        frozenset({_SSL}),
        re.compile("(?s)(?P<detail>.*)"),
        _NO_TLS,
        "{detail}",
        f'Check "security.protocol" ({{protocol}}) and the "ssl.*" {_PROPERTIES}.',
    ),
    _Kind(
        frozenset({_RESOLVE}),
        re.compile(r"Failed to resolve '(?P<name>[^']*?)(?::\d+)?'(?:: (?P<detail>.*))?"),
        _NO_ANSWER,
        "this machine does not know the host {name} ({detail})",
        f"Is the name in {_SERVERS} right?",
        first_contact=True,
    ),
    _Kind(
        frozenset({_RESOLVE}),
        re.compile(r"Failed to resolve '(?P<name>[^']*?)(?::\d+)?'(?:: (?P<detail>.*))?"),
        "Kafka at {servers} sends us on to {broker}",
        "this machine does not know the host {name} ({detail})",
        'Correct "advertised.listeners" at the broker, or make the name known on this machine.',
        first_contact=False,
    ),
    _Kind(
        frozenset({_TRANSPORT}),
        re.compile("Connect to .* failed: (?P<detail>.*)"),
        _NO_ANSWER,
        "{detail}",
        f"Is Kafka running there, and is {_SERVERS} right?",
        first_contact=True,
    ),
    _Kind(
        frozenset({_TRANSPORT}),
        re.compile("Connect to .* failed: (?P<detail>.*)"),
        "Kafka at {servers} sends us on to {broker}",
        "{detail}",
        'Is that broker running, and is "advertised.listeners" right at it?',
        first_contact=False,
    ),
    _Kind(
        _ANY,
        re.compile("(?s)(?P<detail>.*)"),
        _NO_ANSWER,
        "{detail}",
        f'Is Kafka running there, are {_SERVERS} and "security.protocol" ({{protocol}}) right?',
    ),
    _Kind(
        frozenset({_ALL_BROKERS_DOWN}),
        re.compile(""),
        _NO_ANSWER,
        "somebody takes the connection there and closes it without a word",
        f'The port may want TLS or a login: check "security.protocol" {_PROPERTIES} (it is {{protocol}}). '
        f"Or what listens there is no Kafka: is {_SERVERS} right?",
    ),
)
"""The first that was heard is told: what says most stands above what says less."""

_EVENT = re.compile(
    r"(?:\w+://)?(?P<broker>[^/\s]+)/(?P<id>bootstrap|-?\d+): (?P<text>.*?)(?: \(after \d+ms in state \w+\))?"
    r"(?: \(.*identical error\(s\) suppressed\))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Heard:
    """An event of a kind: whom it is about, and what its text holds."""

    kind: _Kind
    broker: str
    details: Mapping[str, str]


class LastWords:
    """The last event of each kind that one client was told of. Notes may come from any thread."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: as the client was made with."""
        protocol = str(config.get("security.protocol", "PLAINTEXT")).upper()
        self._names = {
            "servers": str(config.get("bootstrap.servers", "")),
            "protocol": protocol,
            "without_tls": "SASL_PLAINTEXT" if protocol.startswith("SASL") else "PLAINTEXT",
            "mechanism": str(config.get("sasl.mechanism") or config.get("sasl.mechanisms") or "GSSAPI"),
        }
        self._secrets = _secrets(config)
        self._heard: dict[_Kind, _Heard] = {}

    def note(self, error: KafkaError) -> None:
        """Keep what an event says (librdkafka's `error_cb`)."""
        heard = _understood(error)
        if heard is not None:
            self._heard[heard.kind] = heard

    def forget(self) -> None:
        """What was heard is over: a broker has answered."""
        self._heard.clear()

    @property
    def servers(self) -> str:
        """Where the client looks for brokers."""
        return self._names["servers"]

    @property
    def answered(self) -> bool:
        """Whether a broker was there and turned us away, so that waiting is of no use."""
        return any(kind.answered for kind in list(self._heard))

    def sentence(self) -> str | None:
        """What is wrong and what to do; None if nothing was heard."""
        heard = dict(self._heard)
        return next((self._told(heard[kind]) for kind in _KINDS if kind in heard), None)

    def no_answer(self, error: BaseException) -> str:
        """What is wrong and what to do, now that a call has failed with this error."""
        first = error.args[0] if error.args else None
        reason = self.scrubbed(first.str() if isinstance(first, KafkaError) else str(error))
        if isinstance(first, KafkaError) and first.code() > 0 and first.code() != KafkaError.REQUEST_TIMED_OUT:
            return f"Kafka at {self._names['servers']} answered with an error: {reason}."
        if (told := self.sentence()) is not None:
            return told
        return f"{_NO_ANSWER} ({{reason}}). Is Kafka running there, and is {_SERVERS} right?".format(
            **self._names, reason=reason
        )

    def scrubbed(self, text: str) -> str:
        """The text without the secrets of this client's configuration."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def without_secrets(self, error: KafkaError) -> KafkaError:
        """The same error, without the secrets that its text may quote."""
        text = error.str()
        clean = self.scrubbed(text)
        return error if clean == text else KafkaError(error.code(), clean, fatal=error.fatal())

    def _told(self, heard: _Heard) -> str:
        details = {name: _within_a_sentence(self.scrubbed(text)) for name, text in heard.details.items()}
        kind = heard.kind
        return f"{kind.lead}: {kind.meaning}. {kind.remedy}".format(**self._names, broker=heard.broker, **details)


def _understood(error: KafkaError) -> _Heard | None:
    said = error.str()
    event = _EVENT.fullmatch(said)
    broker, id_, text = (event["broker"], event["id"], event["text"]) if event else ("", "bootstrap", said)
    for kind in _KINDS:
        fits = kind.first_contact is None or kind.first_contact == (id_ == "bootstrap")
        if fits and error.code() in kind.codes and (found := kind.text.search(text)):
            details = {name: value or "no reason given" for name, value in found.groupdict().items()}
            return _Heard(kind, broker, details)
    return None


def _secrets(config: Mapping[str, Any]) -> list[str]:
    """Values that must not be shown, longest first; also the words of those that hold several (OAUTHBEARER's)."""
    values = [str(value) for name, value in config.items() if properties.is_secret(name) and str(value)]
    words = [word for value in values for word in value.split() if len(word) >= 4]
    return sorted({*values, *words}, key=len, reverse=True)


def _within_a_sentence(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:300]).strip().rstrip(".")
