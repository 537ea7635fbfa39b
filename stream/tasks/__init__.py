"""Tasks: input model, output model, prompt versions and limits, loaded from a folder; see `docs/tasks.md`."""

from stream.tasks.catalogue import Catalogue, Task, load_catalogue, load_task, task_folders
from stream.tasks.problems import problems_of
from stream.tasks.version import Version

__all__ = ["Catalogue", "Task", "Version", "load_catalogue", "load_task", "problems_of", "task_folders"]
