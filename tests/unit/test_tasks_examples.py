"""The tasks and sample requests that come with the project, and the page that says how to write one."""

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.core.errors import RenderError
from stream.core.records import Request
from stream.tasks import Catalogue, load_catalogue
from stream.tasks.taskfile import TaskSettings
from stream.validation import verify_checks

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT / "prompts", verify_checks)
TASKS = ["classify-ticket", "extract-invoice"]

NEVER_PAID = {
    ("extract-invoice", "inv-0013"): "invalid_input",
    ("extract-invoice", "inv-0014"): "unrendered_input",
    ("classify-ticket", "ticket-0012"): "invalid_input",
    ("classify-ticket", "ticket-0013"): "unrendered_input",
}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sample_requests(task: str) -> list[Request]:
    return [Request(line["id"], task, line["input"]) for line in lines(ROOT / f"examples/requests/{task}.jsonl")]


SAMPLES = [pytest.param(request, id=request.id) for task in TASKS for request in sample_requests(task)]


def test_the_two_example_tasks_use_both_providers():
    assert list(CATALOGUE.tasks) == TASKS
    assert {version.provider for version in CATALOGUE.versions()} == {"anthropic", "openai"}


@pytest.mark.parametrize("task", TASKS)
def test_there_are_twenty_requests_each_with_an_id_of_its_own(task):
    requests = lines(ROOT / f"examples/requests/{task}.jsonl")
    assert len({request["id"] for request in requests}) == 20
    assert all(request.keys() == {"id", "key", "input"} for request in requests)


@pytest.mark.parametrize("request_", SAMPLES)
def test_a_sample_is_rendered_or_refused_before_it_is_paid_for(request_):
    version = CATALOGUE.version_for(request_)
    expected = NEVER_PAID.get((request_.task, request_.id))
    if expected:
        with pytest.raises(RenderError) as failed:
            version.render(request_)
        assert failed.value.code == expected
    else:
        prompt = version.render(request_)
        for tag in re.findall(r"</(\w+)>", (ROOT / f"prompts/{request_.task}/v1.md").read_text()):
            assert prompt.user.count(f"</{tag}>") <= 1


@pytest.mark.parametrize("task", TASKS)
def test_the_samples_are_as_nasty_as_life(task):
    texts = [json.dumps(request.input, ensure_ascii=False) for request in sample_requests(task)]
    for pattern in (
        "[gG]nore all previous",
        "</(document|body)>",
        "\\\\u0000",
        "[\u0600-\u06ff]",
        "[\u0430-\u044f]",
        "[ぁ-ん]",
        "\U0001f4b8|\U0001f389",
    ):
        assert any(re.search(pattern, text) for text in texts), pattern
    assert any(len(text) >= 48_000 for text in texts)


@pytest.mark.parametrize("task", TASKS)
def test_the_examples_keep_the_tasks_own_contract(task):
    version = CATALOGUE.tasks[task].versions["v1"]
    examples = lines(ROOT / f"prompts/{task}/examples.jsonl")
    assert len(examples) >= 5
    for number, example in enumerate(examples):
        version.render(Request(str(number), task, example["input"]))
        assert not wrong_expectations(version.output_model, example["expect"])


def wrong_expectations(model, expect: dict) -> list:
    """What Pydantic says against the fields given; that others are missing is no fault here."""
    try:
        model.model_validate_json(json.dumps(expect), strict=True)
    except ValidationError as error:
        return [problem for problem in error.errors() if problem["type"] != "missing"]
    return []


def test_an_expectation_that_no_reply_can_meet_would_be_noticed():
    model = CATALOGUE.tasks["classify-ticket"].versions["v1"].output_model
    assert wrong_expectations(model, {"category": "refunds"})
    assert wrong_expectations(model, {"categori": "billing"})


def test_the_page_about_tasks_shows_a_task_that_loads(tmp_path):
    page = (ROOT / "docs/tasks.md").read_text()
    shown = re.findall(r"`prompts/(name-product/[\w.]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in shown] == [f"name-product/{file}" for file in ("contract.py", "v1.md", "task.toml")]
    for name, text in shown:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    catalogue: Catalogue = load_catalogue(tmp_path, verify_checks)
    request = Request("1", "name-product", {"description": "A lamp that wakes you with slow light"})
    assert "slow light" in catalogue.version_for(request).render(request).user


def test_the_page_about_tasks_names_every_key():
    page = (ROOT / "docs/tasks.md").read_text()
    for key in TaskSettings.model_fields:
        assert f"`{key}`" in page or f"`[{key}]`" in page
