"""Variables of the environment that look like ours and are none: `LLM_STREAM_WORKER_MAX_IN_FLIGHT`.

Other people's variables begin so too: Kubernetes describes a service called llm-stream to every container, and
`api_key_env` may name what it likes. So only what resembles a variable of ours is wrong; the rest is worth a note.
"""

import difflib
import re
from collections.abc import Iterator, Mapping

from stream.settings.shape import ANY_NAME, PROPERTIES, Path, Table, keys, settings_shape

SETTINGS = "LLM_STREAM__"
SINGLE = ("LLM_STREAM_CONFIG", "LLM_STREAM_DEBUG", "LLM_STREAM_FAILPOINTS", "LLM_STREAM_KAFKA_LIBS")
"""All that are read and set no key: the file, tracebacks, tests' crashes, where `demo --kafka local` finds Kafka."""

_START = "LLM_STREAM_"
_NEAR = 0.8
_ONE_UNDERSCORE = re.compile(r"LLM_STREAM_([A-Z]+)__(\w+)")
_SERVICE = re.compile(r".*_SERVICE_(HOST|PORT(_\w+)?)|.*_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_SERVICE_ADDRESS = re.compile(r"\w+://.*")  # what Kubernetes says in LLM_STREAM_PORT


def misspelt(environ: Mapping[str, str], taken: frozenset[str] = frozenset()) -> Iterator[str]:
    """A sentence for each variable that nearly is one of ours. taken: names that the settings give to variables."""
    for variable in _foreign(environ, taken):
        one = _ONE_UNDERSCORE.fullmatch(variable)
        if one and one[1].lower() in settings_shape().keys:
            yield f"{variable} has one underscore too few: write {SETTINGS}{one[1]}__{one[2]}."
        elif meant := _meant(variable):
            yield f"{variable} is not known (did you mean {meant}?)."


def unread(environ: Mapping[str, str], taken: frozenset[str] = frozenset()) -> Iterator[str]:
    """A sentence for each variable that begins like ours and resembles none: it may be somebody else's."""
    for variable in _foreign(environ, taken):
        if not _ONE_UNDERSCORE.fullmatch(variable) and not _meant(variable):
            yield (
                f"{variable} is not read: settings are {SETTINGS}SECTION__KEY, and of the others there are "
                f"{', '.join(SINGLE)}."
            )


def _foreign(environ: Mapping[str, str], taken: frozenset[str]) -> Iterator[str]:
    for variable in sorted(environ):
        ours = variable.startswith(SETTINGS) or variable in SINGLE
        service = _SERVICE.fullmatch(variable) or (
            variable.endswith("_PORT") and _SERVICE_ADDRESS.fullmatch(environ[variable])
        )
        if variable.startswith(_START) and not ours and not service and variable not in taken:
            yield variable


def _meant(variable: str) -> str | None:
    words = re.sub(r"_+", "_", variable.removeprefix(_START).upper())
    known = {name.removeprefix(_START): name for name in SINGLE} | _flat_names() | _flat_entries(words)
    near = difflib.get_close_matches(words[:100], known, n=1, cutoff=_NEAR)
    return known[near[0]] if near else None


def _flat_names() -> dict[str, str]:
    """Variables by their words with single underscores; also without the section, where a key's name is enough."""
    paths = [path for path, _ in keys() if ANY_NAME not in path]
    tables = [(name,) for name, node in settings_shape().keys.items() if isinstance(node, Table) and node.each]
    leaves = [path[-1] for path in paths]
    short = {path[-1].upper(): _variable(path) for path in paths if "_" in path[-1] and leaves.count(path[-1]) == 1}
    return short | {"_".join(path).upper(): _variable(path) for path in [*paths, *tables]}


def _flat_entries(words: str) -> dict[str, str]:
    """The same for keys under names that people choose: a provider's, and librdkafka's properties."""
    if property_ := re.fullmatch(r"KAFKA_PROPERT(?:Y|IES)_(\w+)", words):
        return {words: _variable((*PROPERTIES, property_[1]))}
    providers = settings_shape().keys["providers"]
    each = providers.each if isinstance(providers, Table) else None
    for key in each.keys if isinstance(each, Table) else ():
        if provider := re.fullmatch(rf"PROVIDERS?_(\w+)_{key.upper()}", words):
            return {words: _variable(("providers", provider[1], key))}
    return {}


def _variable(path: Path) -> str:
    return SETTINGS + "__".join(path).upper()
