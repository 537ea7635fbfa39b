"""Settings with the simulator in the providers' place: same names, same kinds, no key, no way out of this machine."""

from collections.abc import Iterable, Mapping

from stream.core.errors import ConfigError
from stream.core.spelling import did_you_mean
from stream.providers.table import KINDS
from stream.settings import Settings
from stream.settings.model import ProviderSettings
from stream.simulator.faults import FAULTS

NO_KEYS: Mapping[str, str] = {}
"""The environment in which keys are looked for: a key of the user's is not even read."""

_PATHS = {"openai": "/v1"}


def simulated(settings: Settings, providers: Iterable[str], base_url: str, deadline_s: float) -> Settings:
    """The settings with exactly these providers, each of them the simulator at `base_url`.

    One that isn't configured is what its name says, if that is a kind; else it is left out.
    """
    stand_ins = {name: _stand_in(name, settings, base_url, deadline_s) for name in providers}
    return settings.model_copy(update={"providers": {name: each for name, each in stand_ins.items() if each}})


def refuse_unknown_fault(kind: str) -> None:
    """Raises ConfigError if the simulator knows no such fault."""
    if kind not in FAULTS:
        raise ConfigError(f"--fault: there is no kind {kind!r}{did_you_mean(kind, FAULTS)}. See docs/simulator.md.")


def _stand_in(name: str, settings: Settings, base_url: str, deadline_s: float) -> ProviderSettings | None:
    configured = settings.providers.get(name)
    kind = configured.kind if configured else name
    if kind not in KINDS:
        return None
    table = {"kind": kind, "base_url": base_url + _PATHS.get(kind, ""), "deadline_s": deadline_s}
    return ProviderSettings.model_validate(table | {"pools": configured.pools if configured else {}})
