"""Builds task folders: a small task that works, and whatever a test wants different about it."""

from pathlib import Path
from textwrap import dedent

TASK_TOML = 'model = "anthropic:claude-haiku-4-5"\nactive = { v1 = 100 }\n'

CONTRACT = dedent(
    """
    from datetime import date
    from typing import Literal
    from pydantic import BaseModel, ConfigDict

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    class Line(Strict):
        text: str

    class Input(Strict):
        body: str
        customer_name: str | None = None
        sent_on: date | None = None
        urgent: bool = False
        lines: list[Line] = []

    class Output(Strict):
        category: Literal["billing", "unknown"]
        customer_name: str | None
        due: date | None
        lines: list[Line]
    """
)

PROMPT = "# system\nSort it.\n\n# user\n<body>{{ body }}</body>\n"


def write_task(
    root: Path,
    name: str = "sort",
    *,
    task_toml: str = TASK_TOML,
    contract: str = CONTRACT,
    prompts: dict[str, str] | None = None,
) -> Path:
    """The folder `root/name` with its files; `prompts` maps file names to texts."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(task_toml)
    (folder / "contract.py").write_text(dedent(contract))
    for file, text in (prompts or {"v1.md": PROMPT}).items():
        (folder / file).write_text(text)
    return folder
