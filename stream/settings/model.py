"""What can be set, with its defaults and bounds. Durations and sizes carry their unit in the name."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
"""A Kafka topic's, a provider's or a task's name."""


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(Section):
    """How to reach Kafka, and as whom."""

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    group_id: Annotated[str, Field(min_length=1, max_length=200)] = "llm-stream"
    group_protocol: Literal["classic", "consumer"] = "classic"
    transactional_id: str = ""
    properties: dict[str, str | int | float | bool | SecretStr] = {}


class RegistrySettings(Section):
    """The Schema Registry; an empty url means JSON values."""

    url: str = ""


class RetentionHours(Section):
    """How long `topics create` lets each topic keep records; -1: for ever."""

    requests: int = 168
    results: int = 168
    dlq: int = 720
    audit: int = 720
    decisions: int = -1
    control: int = 1
    signals: int = 720


class TopicSettings(Section):
    """The topics, and how `topics create` makes them."""

    requests: Annotated[list[Name], Field(min_length=1)] = ["llm.requests"]
    results: Name = "llm.results"
    dlq: Name = "llm.dlq"
    audit: Name = "llm.audit"
    decisions: Name = "llm.decisions"
    control: Name = "llm.control"
    signals: Name = "llm.signals"
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 12
    replication_factor: Annotated[int, Field(ge=1, le=100)] | None = None  # None: 3, or as many brokers as there are
    retention_hours: RetentionHours = RetentionHours()


class WorkerSettings(Section):
    """How a worker reads, calls and commits."""

    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    ordering: Literal["key", "none"] = "key"
    start: Literal["earliest", "latest"] = "earliest"
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 512
    commit_interval_ms: Annotated[int, Field(ge=1, le=10_000)] = 100
    drain_timeout_s: Annotated[float, Field(ge=0, le=3_600)] = 30
    rebalance_drain_s: Annotated[float, Field(ge=0, le=240)] = 20
    state_dir: str = ""


class TaskSettings(Section):
    """Where the tasks are."""

    path: str = "prompts"


class PoolSettings(Section):
    """A quota that a group of models shares. The ceiling; the provider's own headers win when lower."""

    models: list[str] = ["*"]
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    input_tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    output_tokens_per_minute: Annotated[int, Field(ge=1)] | None = None


class ProviderSettings(Section):
    """One place to send calls to; tasks name it before the colon of their `model`."""

    kind: Literal["anthropic", "openai"]
    base_url: str = ""
    insecure: bool = False
    api_key_env: str = ""
    api_key_file: str = ""
    deadline_s: Annotated[float, Field(gt=0, le=3_600)] = 60
    pools: dict[str, PoolSettings] = {}


class PriceSettings(Section):
    """A price that overrides the bundled one, in US dollars per million tokens."""

    input_usd: Annotated[float, Field(ge=0)]
    output_usd: Annotated[float, Field(ge=0)]
    cache_read_usd: Annotated[float, Field(ge=0)] | None = None
    cache_write_usd: Annotated[float, Field(ge=0)] | None = None


class AuditSettings(Section):
    """The audit sample."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.01


class DlqSettings(Section):
    """The limit above which a task is held."""

    max_ratio: Annotated[float, Field(gt=0, le=1)] = 0.2
    max_consecutive: Annotated[int, Field(ge=1)] = 50


class TelemetrySettings(Section):
    """Where the worker can be asked how it is. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    log_format: Literal["auto", "json", "text"] = "auto"


class Settings(Section):
    """The whole file."""

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    topics: TopicSettings = TopicSettings()
    worker: WorkerSettings = WorkerSettings()
    tasks: TaskSettings = TaskSettings()
    providers: dict[Name, ProviderSettings] = {}
    prices: dict[str, PriceSettings] = {}
    audit: AuditSettings = AuditSettings()
    dlq: DlqSettings = DlqSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
