"""Requests as people write them down: forms, places of mistakes, and where a task's examples are."""

import pytest

from stream.core.errors import ConfigError
from stream.demo.samples import Sample, own_tasks, sample_in, samples_of


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (b'{"subject": "x"}', None, Sample({"subject": "x"})),
        (b'{"id": "1", "key": "k", "input": {"a": 1}}', None, Sample({"a": 1}, "1", "k")),
        (b'{"input": {"a": 1}, "expect": {}}', None, Sample({"a": 1})),
        (b'{"input": 1, "other": 2}', None, Sample({"input": 1, "other": 2})),
        (b'{\n "a": [\n1]\n}\n', None, Sample({"a": [1]})),
        (b'\n{"a": 1}\n{"a": 2}\n', None, Sample({"a": 1})),
        (b'{"a": 1}\n{"a": 2}\n', 2, Sample({"a": 2})),
    ],
)
def test_a_request_is_the_input_or_the_long_form_one_of_many_or_over_many_lines(text, line, expected) -> None:
    assert sample_in(text, "f", line) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"", None, "f is empty"),
        (b'{"a": nope}', None, "f: Not JSON at column 7"),
        (b'{\n"a": 1,\n"a": 2}', None, "f: .*a"),
        (b'{"a": 1}\n{"a": }\n', 2, "f, line 2: Not JSON at column 7"),
        (b'{"a": 1}\n', 3, "f has no line 3: it has 1"),
        (b"[1]", None, "f: must be a JSON object"),
        (b'{"id": 7, "input": {}}', None, "f: its id must be text"),
        (b'{"key": " ", "input": {}}', None, "f: its key must be text"),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(text, line, message) -> None:
    with pytest.raises(ConfigError, match=message):
        sample_in(text, "f", line)


def test_the_tasks_that_come_along_have_twenty_examples_each() -> None:
    assert {task.name: len(samples_of(task.name, own_tasks())) for task in own_tasks().iterdir() if task.is_dir()} == {
        "classify-ticket": 20,
        "extract-invoice": 20,
    }


def test_examples_are_looked_for_beside_the_tasks_then_in_them(tmp_path) -> None:
    tasks = tmp_path / "prompts"
    for name in ("a", "b"):
        (tasks / name).mkdir(parents=True)
        (tasks / name / "task.toml").write_text("")
    (tasks / "a" / "examples.jsonl").write_text('{"input": {"n": 1}}\n\n{"input": {"n": 2}}\n')
    assert samples_of("a", tasks) == [Sample({"n": 1}), Sample({"n": 2})]
    (tmp_path / "examples" / "requests").mkdir(parents=True)
    (tmp_path / "examples" / "requests" / "a.jsonl").write_text('{"n": 3}')
    assert samples_of("a", tasks) == [Sample({"n": 3})]
    (tmp_path / "requests.jsonl").write_text('{"n": 4}')
    with pytest.raises(ConfigError, match="There are no examples of b"):
        samples_of("b", tasks)


def test_a_project_with_one_task_may_keep_its_requests_beside_it(tmp_path) -> None:
    (tmp_path / "prompts" / "a").mkdir(parents=True)
    (tmp_path / "prompts" / "a" / "task.toml").write_text("")
    (tmp_path / "requests.jsonl").write_text('{"n": 4}')
    assert samples_of("a", tmp_path / "prompts") == [Sample({"n": 4})]
