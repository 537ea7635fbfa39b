"""Kafka's jars come complete and as pinned, or not at all, and what is missing is named with its remedy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.core.errors import DependencyError
from stream.kafka import local_libs

Tool = Callable[[str, str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Puts shell scripts where programs are looked for, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("JAVA_HOME", local_libs.LIBS_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def write(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return write


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for the jars."""
    libs = tmp_path / "cache" / "libs"
    monkeypatch.setattr(local_libs, "_cache_folders", lambda: [libs])
    return libs


def java(tool: Tool, version: str = "17.0.15") -> None:
    tool("java", f"""echo 'openjdk version "{version}" 2025-04-15' >&2""")


def maven(tool: Tool, fetched: dict[str, str]) -> None:
    """A Maven that copies these jars into its output folder, the last argument."""
    copies = "\n".join(f"printf '{content}' > \"$to/{name}\"" for name, content in fetched.items())
    tool("mvn", f'for last; do :; done\nto="${{last#-DoutputDirectory=}}"\n/bin/mkdir -p "$to"\n{copies}')


def pin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Pins one jar, `kafka.jar`, whose content is `good`."""
    sums = tmp_path / "SHA256SUMS"
    sums.write_text("770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c  kafka.jar\n")
    monkeypatch.setattr(local_libs, "_MAVEN_FILES", tmp_path)


def test_no_java_is_named_with_its_remedy(tool: Tool, cache: Path) -> None:
    with pytest.raises(DependencyError, match=r"java could not be run.*needs Java 17 or later"):
        local_libs.ensure_libs()


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_292", "16"])
def test_a_java_that_is_too_old_is_named_with_its_version(tool: Tool, cache: Path, version: str) -> None:
    java(tool, version)
    with pytest.raises(DependencyError, match=f"too old.*{version}.*needs Java 17"):
        local_libs.ensure_libs()


def test_no_maven_is_named_with_both_remedies(tool: Tool, cache: Path) -> None:
    java(tool)
    with pytest.raises(DependencyError, match=r"`mvn` is not on the path.*LLM_STREAM_KAFKA_LIBS"):
        local_libs.ensure_libs()


def test_the_pinned_jars_are_fetched_once_and_announced(
    tool: Tool, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java(tool)
    maven(tool, {"kafka.jar": "good"})
    pin(monkeypatch, tmp_path)
    said: list[str] = []
    assert local_libs.ensure_libs(said.append) == cache
    assert local_libs.ensure_libs(said.append) == cache
    assert len(said) == 1
    assert (cache / "kafka.jar").read_text() == "good"


@pytest.mark.parametrize(
    "fetched", [{"kafka.jar": "evil"}, {"kafka.jar": "good", "more.jar": "evil"}, {"m.jar": "good"}]
)
def test_other_jars_than_the_pinned_ones_are_never_used(
    tool: Tool, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetched: dict[str, str]
) -> None:
    java(tool)
    maven(tool, fetched)
    pin(monkeypatch, tmp_path)
    with pytest.raises(DependencyError, match="not the pinned one"):
        local_libs.ensure_libs()
    assert list(cache.parent.iterdir()) == []


def test_a_failing_maven_is_quoted(tool: Tool, cache: Path) -> None:
    java(tool)
    tool("mvn", "echo '[ERROR] no such host'; exit 1")
    with pytest.raises(DependencyError, match=r"(?s)could not fetch Kafka.*no such host"):
        local_libs.ensure_libs()


def test_a_given_folder_without_kafka_is_refused(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tool)
    monkeypatch.setenv(local_libs.LIBS_VARIABLE, str(tmp_path))
    with pytest.raises(DependencyError, match=r"LLM_STREAM_KAFKA_LIBS names .* not there"):
        local_libs.ensure_libs()


def test_a_given_folder_goes_before_every_cache(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tool)
    (tmp_path / "kafka-server-4.1.0.jar").touch()
    monkeypatch.setenv(local_libs.LIBS_VARIABLE, str(tmp_path))
    assert local_libs.ensure_libs() == tmp_path
