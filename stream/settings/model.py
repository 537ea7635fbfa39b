"""What can be set, with its defaults and bounds. Durations and sizes carry their unit in the name.

The text under each key is its documentation: `config schema` and docs/configuration.md are made of it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
"""A Kafka topic's, a provider's or a task's name."""
RetentionTime = Annotated[int, Field(ge=-1, le=1_000_000)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class KafkaSettings(Section):
    """How to reach Kafka, and as whom."""

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Where the brokers are: host:port, several with commas."""
    group_id: Annotated[str, Field(min_length=1, max_length=200)] = "llm-stream"
    """The consumer group: workers with the same one share the requests."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """How the group shares partitions: `classic` (cooperative-sticky), or `consumer` (KIP-848)."""
    transactional_id: str = ""
    """Whose transactions these are. Empty: GROUP.HOSTNAME.SLOT; `random`: drawn once per process."""
    properties: dict[str, str | int | float | bool | SecretStr] = {}
    """Passed to librdkafka, for example `"security.protocol"`. What would break delivery is refused by name."""


class RegistrySettings(Section):
    """The Schema Registry."""

    url: str = ""
    """Where it is. Empty: values are JSON."""


class RetentionHours(Section):
    """How long `topics create` lets each topic keep records, in hours; -1: for ever."""

    requests: RetentionTime = 168
    results: RetentionTime = 168
    dlq: RetentionTime = 720
    audit: RetentionTime = 720
    decisions: RetentionTime = -1
    control: RetentionTime = 1
    signals: RetentionTime = 720


class TopicSettings(Section):
    """The topics, and how `topics create` makes them."""

    requests: Annotated[list[Name], Field(min_length=1)] = ["llm.requests"]
    """Where requests are read from."""
    results: Name = "llm.results"
    """Where results go, unless a task has a topic of its own."""
    dlq: Name = "llm.dlq"
    """Where dead letters go."""
    audit: Name = "llm.audit"
    """Where redacted copies of a sample of calls go."""
    decisions: Name = "llm.decisions"
    """Where people's decisions are kept."""
    control: Name = "llm.control"
    """Where workers tell each other how they are."""
    signals: Name = "llm.signals"
    """Where windows of figures go."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    """Of requests, results, dead letters and audit copies."""
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None
    """Of every topic. Unset: 3, or as many as there are brokers."""
    retention_hours: RetentionHours = RetentionHours()


class WorkerSettings(Section):
    """How a worker reads, calls and commits."""

    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """`at_least_once` works without transactions, but a crash may give a request two outcomes."""
    ordering: Literal["key", "none"] = "key"
    """`key`: one request of a key at a time. `none`: all at once."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group that has committed nothing yet begins."""
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 512
    """Calls in the air at once."""
    commit_interval_ms: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Under load, how long outcomes are gathered for one transaction."""
    drain_timeout_s: Annotated[float, Field(ge=0, le=3_600)] = 30
    """After SIGTERM, how long calls in the air may take to finish."""
    rebalance_drain_s: Annotated[float, Field(ge=0, le=240)] = 20
    """When a partition is taken away, how long its calls in the air may take to finish."""
    state_dir: str = ""
    """Where lock files are. Empty: $XDG_STATE_HOME/llm-stream."""


class TaskSettings(Section):
    """Where the tasks are."""

    path: str = "prompts"
    """The folder with one folder per task; looked for beside the file, then in the current directory."""


class PoolSettings(Section):
    """A quota that a group of models shares. The ceiling; the provider's own headers win when lower."""

    models: list[str] = ["*"]
    """The models that share it; `*` stands for any characters."""
    requests_per_minute: Annotated[int, Field(ge=1)] = 4_000
    """A ceiling; the provider's own answers win when lower."""
    input_tokens_per_minute: Annotated[int, Field(ge=1)] = 2_000_000
    """A ceiling; the provider's own answers win when lower."""
    output_tokens_per_minute: Annotated[int, Field(ge=1)] = 400_000
    """A ceiling; the provider's own answers win when lower."""


class ProviderSettings(Section):
    """One place to send calls to; tasks name it before the colon of their `model`."""

    kind: Literal["anthropic", "openai"]
    """What it speaks; `openai` stands for everything compatible with it too."""
    base_url: str = ""
    """https, or http to this machine. Empty: the provider's own address."""
    insecure: bool = False
    """Allows http to other machines: key and prompts can then be read on the way."""
    api_key_env: str = ""
    """The environment variable that holds the key. Empty: ANTHROPIC_API_KEY or OPENAI_API_KEY, by kind."""
    api_key_file: str = ""
    """A file that holds the key; read again when the key is rejected."""
    deadline_s: Annotated[float, Field(gt=0, le=3_600)] = 60
    """How long one call may take in all."""
    pools: dict[Name, PoolSettings] = {}


class PriceSettings(Section):
    """A price that overrides the bundled one, in US dollars per million tokens."""

    input_usd: Annotated[float, Field(ge=0)]
    """Of input tokens that aren't cached."""
    output_usd: Annotated[float, Field(ge=0)]
    """Of output tokens, reasoning included."""
    cache_read_usd: Annotated[float, Field(ge=0)] | None = None
    """Of input tokens read from the cache. Unset: as `input_usd`."""
    cache_write_usd: Annotated[float, Field(ge=0)] | None = None
    """Of input tokens written to the cache. Unset: as `input_usd`."""


class AuditSettings(Section):
    """The audit sample."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of requests of which a redacted copy is kept."""


class DlqSettings(Section):
    """The limit above which a task is held instead of filling the DLQ."""

    max_ratio: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Of dead letters among the last 200 outcomes of a task's prompt version."""
    max_consecutive: Annotated[int, Field(ge=1)] = 50
    """Dead letters in a row."""


class TelemetrySettings(Section):
    """Where the worker can be asked how it is: /metrics, /livez, /readyz, /status."""

    host: str = "127.0.0.1"
    """The address it listens on; `0.0.0.0`: all of them."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """0: any free one."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""


class Settings(Section):
    """The whole file."""

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    topics: TopicSettings = TopicSettings()
    worker: WorkerSettings = WorkerSettings()
    tasks: TaskSettings = TaskSettings()
    providers: dict[Name, ProviderSettings] = {}
    prices: dict[Annotated[str, Field(pattern=r"^[^:]+:.+$")], PriceSettings] = {}
    audit: AuditSettings = AuditSettings()
    dlq: DlqSettings = DlqSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
