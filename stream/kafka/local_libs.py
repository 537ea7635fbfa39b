"""Apache Kafka as jars: found in a cache, or fetched by Maven and checked against pinned hashes.

For `demo --kafka local` and the tests; a worker never needs it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from stream.core.errors import DependencyError

KAFKA_VERSION = "4.1.0"
MIN_JAVA = 17
LIBS_VARIABLE = "LLM_STREAM_KAFKA_LIBS"

_MAVEN_FILES = Path(__file__).with_name("maven")
_FETCH_TIMEOUT_S = 600


def ensure_libs(announce: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of Kafka's jars, fetched (54 MB, once) if no cache has it.

    Looked for in `$LLM_STREAM_KAFKA_LIBS`, the checkout's `.cache`, the user's cache folder. announce: gets one line
    before anything slow. Raises DependencyError that says what is missing and how to get it.
    """
    java_command()
    given = os.environ.get(LIBS_VARIABLE)
    if given:
        return _given_libs(Path(given))
    for folder in (libs := _cache_folders()):
        if folder.is_dir():
            return folder
    announce(f"fetching Apache Kafka {KAFKA_VERSION} by Maven into {libs[0]} (54 MB, once)")
    _fetch(libs[0])
    return libs[0]


def java_command() -> str:
    """The `java` of `$JAVA_HOME`, else of the path, at least version 17. Raises DependencyError."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    remedy = (
        f"a local Kafka needs Java {MIN_JAVA} or later: install one, for example `apt install openjdk-17-jre-headless`"
    )
    try:
        banner = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60).stderr  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise DependencyError(f"{java} could not be run; {remedy}") from error
    found = re.search(r'version "(\d+)', banner)
    if found is None or int(found[1]) < MIN_JAVA:
        raise DependencyError(f"{java} is too old ({banner.splitlines()[0]}); {remedy}")
    return java


def _given_libs(folder: Path) -> Path:
    if not any(folder.glob("kafka-server-*.jar")):
        raise DependencyError(f"{LIBS_VARIABLE} names {folder}, but Kafka's jars (kafka-server-*.jar) are not there")
    return folder


def _cache_folders() -> list[Path]:
    """Where the jars may be, the place to fetch them to first."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "llm-stream")
    checkout = Path(__file__).parents[2]
    caches = [checkout / ".cache", user_cache] if (checkout / "pyproject.toml").is_file() else [user_cache]
    return [cache / f"kafka-{KAFKA_VERSION}" / "libs" for cache in caches]


def _fetch(target: Path) -> None:
    """Have Maven copy the jars to `target`, which appears complete and checked, or not at all."""
    maven = shutil.which("mvn")
    if maven is None:
        raise DependencyError(
            "a local Kafka is fetched by Maven, but `mvn` is not on the path: install it (for example "
            f"`apt install maven`), or set {LIBS_VARIABLE} to the libs folder of a Kafka {KAFKA_VERSION} you have"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fetched = Path(scratch, "libs")
        _run_maven(maven, fetched)
        _check_hashes(fetched)
        try:
            fetched.rename(target)
        except OSError:
            if not target.is_dir():  # somebody else was faster: theirs is as good
                raise


def _run_maven(maven: str, destination: Path) -> None:
    command = [maven, "-B", "-q", "-ntp", "-Dstyle.color=never", "-f", str(_MAVEN_FILES / "pom.xml")]
    command += ["dependency:copy-dependencies", f"-DoutputDirectory={destination}"]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DependencyError(f"Maven did not fetch Kafka within {_FETCH_TIMEOUT_S} s") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[:8])
        raise DependencyError(f"Maven could not fetch Kafka (is its repository reachable?):\n{said}")


def _check_hashes(folder: Path) -> None:
    """Every jar is one we pinned, and none is missing. Raises DependencyError."""
    lines = (_MAVEN_FILES / "SHA256SUMS").read_text().splitlines()
    wanted = {name: digest for digest, name in (line.split() for line in lines)}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.iterdir()}
    if found != wanted:
        wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise DependencyError(
            f"the fetched Kafka is not the pinned one, so it is not used; differing: {', '.join(wrong)}"
        )
