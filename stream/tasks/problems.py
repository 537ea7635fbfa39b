"""What is wrong with tasks, gathered, so that all that can be known is said in one go."""

from collections.abc import Callable
from typing import TypeVar

from stream.core.errors import ConfigError

Found = TypeVar("Found")


class TaskError(ConfigError):
    """A task can't be used. problems: a sentence each, with file and key."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        listed = "".join(f"\n  • {problem}" for problem in problems)
        super().__init__(problems[0] if len(problems) == 1 else f"{len(problems)} problems in the tasks:{listed}")
        self.problems = problems


def problems_of(error: ConfigError) -> tuple[str, ...]:
    """What is wrong, a sentence each."""
    return error.problems if isinstance(error, TaskError) else (str(error),)


class Problems:
    """Sentences in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        """One sentence more."""
        self.found.append(problem)

    def tried(self, read: Callable[[], Found]) -> Found | None:
        """What `read` returns; None where it raises ConfigError, whose problems are kept."""
        try:
            return read()
        except ConfigError as error:
            self.found += problems_of(error)
            return None

    def refuse(self) -> None:
        """Raise TaskError if there is any problem; each is said once, as versions share what `task.toml` says."""
        if self.found:
            raise TaskError(tuple(dict.fromkeys(self.found)))
