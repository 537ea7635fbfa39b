"""What the model's types can't say: secrets out of the file, properties that break delivery, keys not built yet, keys
that contradict each other. Each check adds sentences to the tree's problems.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath

from pydantic import SecretStr

from stream.core.spelling import did_you_mean
from stream.settings import properties, servers
from stream.settings.environment import variable_for
from stream.settings.shape import PROPERTIES, Key, Path, Table, find, settings_shape, spelled
from stream.settings.tree import Tree

NOT_IN_THIS_VERSION: Mapping[Path, str] = {
    ("registry", "url"): "values are JSON",
    ("kafka", "group_protocol"): "the group protocol is classic",
    ("topics", "signals"): "no signals are published",
    ("topics", "retention_hours", "signals"): "no signals are published",
    ("dlq", "max_ratio"): "no task is held for its dead letters",
    ("dlq", "max_consecutive"): "no task is held for its dead letters",
}
"""Keys whose behaviour isn't built yet, with what happens instead: refused unless they stand at their default."""

NOT_KNOWN = "is not known"
"""How the sentence about a misspelt key goes on."""


def refuse_secrets_in_the_file(tree: Tree) -> None:
    """To be called before the environment is laid over: there secrets may stand."""
    for path in list(tree.leaves()):
        if path[:-1] == PROPERTIES and properties.is_secret(path[-1]):
            remedy = (
                f"set {variable_for(path)}, or name a file that holds it: "
                f'"{path[-1]}{properties.FILE_SUFFIX}" = "/run/secrets/...".'
            )
        elif path[:1] == ("providers",) and path[2:] == ("api_key",):
            remedy = "put it into an environment variable and name that with api_key_env, or use api_key_file."
        else:
            continue
        tree.problems.append(f"{tree.at(path)} is a secret and must not stand in the file: {remedy}")
        tree.drop(path)


def refuse_unknown_keys(tree: Tree) -> None:
    """A key that isn't there is an error, with what was probably meant; a table that isn't there is one, not many."""
    said: set[Path] = set()
    for path in list(tree.leaves()):
        for length in range(1, len(path) + 1):
            parent = find(path[: length - 1])
            if find(path[:length]) is None and isinstance(parent, Table):
                if path[:length] not in said:
                    source = tree.source(path)
                    at = spelled(path[:length]) + (f" ({source})" if source else "")
                    tree.problems.append(f"{at} {NOT_KNOWN}{_meant(path[length - 1], parent)}.")
                said.add(path[:length])
                tree.drop(path[:length])
                break


def _meant(name: str, table: Table) -> str:
    elsewhere = [key for key, node in settings_shape().keys.items() if isinstance(node, Table) and name in node.keys]
    if elsewhere and table is settings_shape():
        return f": it belongs into [{elsewhere[0]}]"
    return did_you_mean(name, table.keys)


def resolve_properties(tree: Tree, folder: FilePath | None) -> None:
    """Refuse what would break delivery, read `*_file`s, hide secrets. folder: where relative files are looked for."""
    table = tree.get(PROPERTIES)
    for name in list(table) if isinstance(table, Mapping) else ():
        path = (*PROPERTIES, name)
        why = properties.why_refused(name)
        if why:
            tree.problems.append(f"{tree.at(path)} can't be set: {why}.")
            tree.drop(path)
        elif name.endswith(properties.FILE_SUFFIX):
            _read_secret(tree, path, folder)
        elif properties.is_secret(name):
            tree.put(path, SecretStr(str(tree.get(path))), tree.source(path))


def _read_secret(tree: Tree, path: Path, folder: FilePath | None) -> None:
    name, value, source = path[2].removesuffix(properties.FILE_SUFFIX), tree.get(path), tree.at(path)
    tree.drop(path)
    if not properties.is_secret(name):
        tree.problems.append(f"{source}: only secrets can be read from a file, and {name} is none.")
        return
    if (*PROPERTIES, name) in tree.sources:
        tree.problems.append(f"{source}: {name} is set as well; set one of the two.")
        return
    file = beside(str(value), folder)
    try:
        secret = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        tree.problems.append(f"{source}: {file} can't be read ({_reason(error)}).")
        return
    if not secret:
        tree.problems.append(f"{source}: {file} is empty.")
        return
    tree.put((*PROPERTIES, name), SecretStr(secret), f"file {file}")


def beside(path: str, folder: FilePath | None) -> FilePath:
    """A path of the settings: a relative one counts from the file's folder, or from the current one if it is there."""
    given = FilePath(path).expanduser()
    if given.is_absolute() or folder is None:
        return given
    return folder / given if (folder / given).exists() or not given.exists() else given


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def refuse_unbuilt(tree: Tree) -> None:
    """Keys that do nothing yet must stand at their default."""
    for path in list(tree.leaves()):
        pattern = next((known for known in NOT_IN_THIS_VERSION if _matches(path, known)), None)
        key = find(path)
        if pattern and isinstance(key, Key) and tree.get(path) != key.default:
            tree.problems.append(
                f"{tree.at(path)} is not in this version: {NOT_IN_THIS_VERSION[pattern]}. Take it out of the settings."
            )


def _matches(path: Path, pattern: Path) -> bool:
    return len(path) == len(pattern) and all(wanted in ("*", name) for name, wanted in zip(path, pattern, strict=True))


def contradictions(tree: Tree) -> None:
    """Keys whose text can't be what they are for, and keys that are right by themselves but not together."""
    for check in (_no_brokers, _same_topics, _unknown_price_providers, _keys_as_variable_names):
        check(tree)


def _no_brokers(tree: Tree) -> None:
    path = ("kafka", "bootstrap_servers")
    value = tree.get(path)
    if isinstance(value, str) and value and (trouble := servers.trouble(value)):
        tree.problems.append(f"{tree.at(path)} {trouble}.")


def _same_topics(tree: Tree) -> None:
    roles: dict[str, str] = {}
    for role, name in _topic_names(tree):
        at = tree.at(("topics", role))
        if name in (".", ".."):
            tree.problems.append(f"{at}: {name!r} can't be a topic's name.")
        elif name in roles:
            other = "stands there twice" if roles[name] == role else f"is topics.{roles[name]} too"
            tree.problems.append(f"{at}: {name!r} {other}; each topic needs a name of its own.")
        roles.setdefault(name, role)


def _topic_names(tree: Tree) -> Iterator[tuple[str, str]]:
    for role in ("requests", "results", "dlq", "audit", "decisions", "control", "signals"):
        names, key = tree.get(("topics", role)), find(("topics", role))
        if names is None and isinstance(key, Key):
            names = key.default
        for name in names if isinstance(names, list) else [names]:
            if isinstance(name, str):
                yield role, name


def _unknown_price_providers(tree: Tree) -> None:
    prices, providers = tree.get(("prices",)), tree.get(("providers",))
    if not isinstance(prices, Mapping) or not isinstance(providers, Mapping) or not providers:
        return
    for name in prices:
        provider = name.partition(":")[0]
        if ":" in name and provider not in providers:
            tree.problems.append(
                f"{tree.at(('prices', name))}: there is no provider {provider!r}{did_you_mean(provider, providers)}."
            )


def _keys_as_variable_names(tree: Tree) -> None:
    providers = tree.get(("providers",))
    for name in providers if isinstance(providers, Mapping) else ():
        path = ("providers", name, "api_key_env")
        variable = tree.get(path)
        if isinstance(variable, str) and variable and not variable.replace("_", "").isalnum():
            tree.problems.append(
                f"{tree.at(path)} must be the name of an environment variable, not the key itself: put the key into a "
                f'variable and write its name here, such as api_key_env = "{name.upper().replace("-", "_")}_API_KEY".'
            )
