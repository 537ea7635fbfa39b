"""Input that was meant to be filled in upstream and wasn't: a field whose whole value is `{customer_name}`.

Such a request would be paid for and answered plausibly, about nobody. Only whole values count: a text that merely
contains braces is text.
"""

import re
from typing import Any

from stream.core import json_path

LONGEST = 120
"""Characters of a value that can be a placeholder, white space around it included."""

_NAME = r"[^\W\d](?:[\w .\-]|\[[\w'\"]+\])*+"
_FILTERS = r"(?:\|[^{}]*+)?"
_FORMS = re.compile(
    "|".join(
        (
            rf"\$?\{{\s*{_NAME}\}}",  # {name} ${name}
            rf"[$#]?\{{\{{\{{?\s*{_NAME}{_FILTERS}\}}?\}}\}}",  # {{name}} {{ name | upper }} {{{name}}}
            rf"[#%]\{{\s*{_NAME}\}}",  # #{name} %{name}
            rf"%\({_NAME}\)s",  # %(name)s
            rf"<%=?\s*{_NAME}%>",  # <%= name %>
        )
    )
)


def is_unrendered(text: str) -> bool:
    """Whether the whole text is a placeholder of a template language."""
    return len(text) <= LONGEST and _FORMS.fullmatch(text.strip()) is not None


def find_unrendered(value: Any) -> tuple[str, str] | None:
    """JSON path and text of the first placeholder in a JSON value; None if there is none. Keys aren't looked at."""
    waiting: list[tuple[str, Any]] = [(json_path.ROOT, value)]
    for path, node in waiting:  # grows while it is walked
        if isinstance(node, str):
            if is_unrendered(node):
                return path, node.strip()
        elif isinstance(node, dict):
            waiting.extend(
                (json_path.member(path, str(key)), child) for key, child in node.items() if _is_worth_a_look(child)
            )
        elif isinstance(node, list):
            waiting.extend((json_path.item(path, i), child) for i, child in enumerate(node) if _is_worth_a_look(child))
    return None


def _is_worth_a_look(node: Any) -> bool:
    """Cheaply: a container, or a short string that holds a brace, a bracket or a percent sign somewhere."""
    if isinstance(node, str):
        return len(node) <= LONGEST and ("}" in node or "%" in node)
    return isinstance(node, dict | list)
