"""The table's metrics as things that count, with closed sets of label values, and the page that Prometheus scrapes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stream.core.ports import PromptVersion
from stream.resilience.gate import DEFAULT_POOL
from stream.settings import Settings
from stream.telemetry.figures import Figures
from stream.telemetry.metrics import TABLE, Metric

# A second series for each, with the moment it began: no query of ours asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]

UNKNOWN_TASK = "unknown"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Known:
    """The names that labels may hold. models: by provider. pools: by provider."""

    tasks: frozenset[str] = frozenset()
    models: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pools: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def scopes(self, provider: str) -> list[str]:
        """What this provider's gate can be shut for."""
        pools = [f"pool:{name}" for name in sorted(self.pools.get(provider, frozenset()) | {DEFAULT_POOL})]
        return ["account", *pools, *(f"model:{name}" for name in sorted(self.models[provider]))]


def known(settings: Settings, versions: Iterable[PromptVersion]) -> Known:
    """The names in the settings and in the prompt versions."""
    tasks: set[str] = set()
    models: dict[str, set[str]] = {}
    for version in versions:
        tasks.add(version.task)
        models.setdefault(version.provider, set()).add(version.model)
    pools = {name: frozenset(provider.pools) for name, provider in settings.providers.items()}
    return Known(frozenset(tasks), {name: frozenset(of_it) for name, of_it in models.items()}, pools)


class Metrics:
    """One process's metrics, in a registry of their own. Counting is thread-safe; `page` belongs to the event loop."""

    def __init__(self, names: Known, version: str, figures: Callable[[], Figures]) -> None:
        """names: see `Known`. figures: what the worker is like right now; asked at each scrape."""
        self.names = names
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {
            metric.name: _made(metric, self.registry) for metric in TABLE if metric.read is None
        }
        self.registry.register(_ReadOff(figures))
        self.gauge("llm_stream_build_info").labels(version).set(1)

    def counter(self, name: str) -> Counter:
        """The counter of this name in the table."""
        found = self._made[name]
        if not isinstance(found, Counter):
            raise TypeError(f"{name} is no counter")
        return found

    def gauge(self, name: str) -> Gauge:
        """The gauge of this name in the table."""
        found = self._made[name]
        if not isinstance(found, Gauge):
            raise TypeError(f"{name} is no gauge")
        return found

    def histogram(self, name: str) -> Histogram:
        """The histogram of this name in the table."""
        found = self._made[name]
        if not isinstance(found, Histogram):
            raise TypeError(f"{name} is no histogram")
        return found

    def page(self) -> bytes:
        """Everything, in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)


def _made(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(metric.name, metric.help, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.help, metric.labels, registry=registry)
    return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)


class _ReadOff(Collector):
    """The gauges that nobody sets: read off the worker's figures when somebody looks, all at the same moment."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Their names, for the registry to refuse doubles."""
        for metric in TABLE:
            if metric.read is not None:
                yield GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Their values now."""
        figures = self._figures()
        for metric in TABLE:
            if metric.read is not None:
                family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, value in metric.read(figures):
                    family.add_metric(labels, value)
                yield family
