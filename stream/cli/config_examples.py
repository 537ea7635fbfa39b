"""Is each line of a task's `examples.jsonl` a request? `try` and `demo` read the file; a worker never does."""

from collections.abc import Iterator
from pathlib import Path

from stream.core.errors import ConfigError
from stream.demo.samples import sample_in

_SHOWN_PROBLEMS = 10


def wrong_examples(task: Path) -> Iterator[str]:
    """A sentence for each line in the task's folder that can't be read as a request, with file, line and reason.

    At most ten, and one that counts the others. Nothing where there is no such file: a task needs no examples.
    """
    file = task / "examples.jsonl"
    if not file.exists():
        return
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        yield f"{file} can't be read: {error.strerror}."
        return
    wrong = list(_wrong(lines, file))
    yield from wrong[:_SHOWN_PROBLEMS]
    if len(wrong) > _SHOWN_PROBLEMS:
        yield f"{file}: {len(wrong) - _SHOWN_PROBLEMS:,} more lines can't be read as requests."


def _wrong(lines: list[bytes], file: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                sample_in(line, f"{file}, line {number}")
            except ConfigError as error:
                yield str(error)
