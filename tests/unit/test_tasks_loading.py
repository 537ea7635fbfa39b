"""Reading a folder of tasks: what is there is what was written, and what is wrong is named with its file and key."""

import sys
from pathlib import Path

import pytest

from stream.core.errors import ConfigError, RouteError
from stream.core.records import Request
from stream.core.sampling import fraction
from stream.tasks import load_catalogue, load_task, problems_of
from stream.validation import verify_checks
from tests.support.task_folders import CONTRACT, PROMPT, TASK_TOML, write_task


def refusal(tmp_path: Path, **changes: object) -> str:
    """The message with which such a task is refused."""
    write_task(tmp_path, **changes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as refused:
        load_catalogue(tmp_path, verify_checks)
    return str(refused.value)


def test_a_task_has_what_its_files_say(tmp_path):
    toml = TASK_TOML + 'structured = "json_schema"\nmax_output_tokens = 77\nresults_topic = "mine"\n'
    version = load_task(write_task(tmp_path, task_toml=toml), verify_checks).versions["v1"]
    assert (version.task, version.provider, version.model) == ("sort", "anthropic", "claude-haiku-4-5")
    assert (version.structured, version.max_output_tokens, version.results_topic) == ("json_schema", 77, "mine")
    assert version.output_schema["required"] == ["category", "customer_name", "due", "lines"]
    assert version.render(Request("1", "sort", {"body": "Hi"})).system == "Sort it."


def test_a_model_name_may_hold_colons(tmp_path):
    toml = 'model = "local:llama3:8b"\nactive = { v1 = 100 }\n'
    version = load_task(write_task(tmp_path, task_toml=toml), verify_checks).versions["v1"]
    assert (version.provider, version.model) == ("local", "llama3:8b")


def test_front_matter_wins_for_its_own_version_only(tmp_path):
    front = "---\nmodel: openai:gpt-4.1-mini\nmax_output_tokens: 5\nchecks:\n  empty: false\n---\n"
    toml = TASK_TOML + "[checks]\nplaceholder = false\n"
    task = load_task(
        write_task(tmp_path, task_toml=toml, prompts={"v1.md": PROMPT, "v2.md": front + PROMPT}), verify_checks
    )
    assert (task.versions["v1"].provider, task.versions["v1"].max_output_tokens) == ("anthropic", 1000)
    assert (task.versions["v2"].provider, task.versions["v2"].max_output_tokens) == ("openai", 5)
    assert dict(task.versions["v1"].checks) == {"placeholder": False}
    assert dict(task.versions["v2"].checks) == {"placeholder": False, "empty": False}


def test_the_label_names_task_version_and_twelve_hex_digits(tmp_path):
    label = load_task(write_task(tmp_path), verify_checks).versions["v1"].label
    name, _, digits = label.partition("#")
    assert name == "sort@v1"
    assert len(digits) == 12
    int(digits, 16)


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": {"v1.md": PROMPT + " "}},
        {"contract": CONTRACT.replace("body: str", "body: str | None")},
        {"contract": CONTRACT.replace('"billing"', '"payment"')},
    ],
)
def test_the_hash_changes_with_the_prompt_and_with_either_schema(tmp_path, change):
    before = load_task(write_task(tmp_path / "a"), verify_checks).versions["v1"].label
    after = load_task(write_task(tmp_path / "b", **change), verify_checks).versions["v1"].label
    assert before != after


def test_the_hash_does_not_change_with_the_settings(tmp_path):
    before = load_task(write_task(tmp_path / "a"), verify_checks).versions["v1"].label
    after = load_task(write_task(tmp_path / "b", task_toml=TASK_TOML + "max_output_tokens = 9"), verify_checks)
    assert after.versions["v1"].label == before


def test_an_unknown_task_is_a_routing_failure_with_a_suggestion(tmp_path):
    write_task(tmp_path, "extract-invoice")
    with pytest.raises(RouteError, match="did you mean extract-invoice") as failed:
        load_catalogue(tmp_path, verify_checks).version_for(Request("1", "extract-invoices", {}))
    assert failed.value.code == "unknown_task"


@pytest.mark.parametrize("name", ["", "  "])
def test_a_request_that_names_no_task_is_told_how_to_name_one(tmp_path, name):
    write_task(tmp_path, "extract-invoice")
    with pytest.raises(RouteError, match=r"names no task.*llm\.request\.TASK.*extract-invoice") as failed:
        load_catalogue(tmp_path, verify_checks).version_for(Request("1", name, {}))
    assert failed.value.code == "unknown_task"


def test_hidden_folders_and_loose_files_are_nobodys_tasks(tmp_path):
    write_task(tmp_path)
    for name in (".git", "__pycache__"):
        (tmp_path / name).mkdir()
    (tmp_path / "prompts.lock").write_text("")
    assert list(load_catalogue(tmp_path, verify_checks).tasks) == ["sort"]


def test_a_broken_examples_file_keeps_no_task_from_loading(tmp_path):
    (write_task(tmp_path) / "examples.jsonl").write_text("{no")
    assert list(load_catalogue(tmp_path, verify_checks).tasks) == ["sort"]


def test_all_checks_that_are_wrong_are_said_at_once_and_each_once(tmp_path):
    toml = TASK_TOML + "[checks]\nempti = true\nplaceholders = true"
    message = refusal(tmp_path, task_toml=toml, prompts={"v1.md": PROMPT, "v2.md": PROMPT})
    head, first, second = message.splitlines()
    assert head == "2 problems in the tasks:"
    assert "task.toml: checks.empti" in first
    assert "task.toml: checks.placeholders" in second


def problems(root: Path) -> list[str]:
    """All that is said against the tasks under `root`, without the folder they stand in."""
    with pytest.raises(ConfigError) as refused:
        load_catalogue(root, verify_checks)
    return [problem.removeprefix(f"{root}/") for problem in problems_of(refused.value)]


def test_everything_wrong_in_a_task_file_is_said_at_once(tmp_path):
    write_task(
        tmp_path,
        task_toml='model = "claude"\nactive = { v1 = 50, v7 = 40 }\nmax_output_token = 9\nresults_topic = "a b"\n'
        "repair = true\n[checks]\nempti = true\n",
    )
    found = problems(tmp_path)
    for part in (
        "sort/task.toml: max_output_token: there is no such key (did you mean max_output_tokens?).",
        "sort/task.toml: model: should be",
        "sort/task.toml: results_topic: ",
        "sort/task.toml: active: there is no v7.md",
        "sort/task.toml: active: the shares (v1 = 50, v7 = 40) must add up to 100 percent.",
        "sort/task.toml: repair: not in this version",
        "sort/task.toml: checks.empti: ",
    ):
        assert [problem.startswith(part) for problem in found].count(True) == 1, part
    assert len(found) == 7


def test_what_is_wrong_in_each_file_of_a_task_is_said_at_once(tmp_path):
    write_task(
        tmp_path,
        task_toml=TASK_TOML + "repair = 7\n",
        contract=CONTRACT.replace("due: date", "due: Dat"),
        prompts={
            "v1.md": "# system\nSort {body}.\n\n# user\n{{ body }}\n",
            "v2.md": "---\nmodle: a:b\nactive: 7\n---\nHello\n" + PROMPT,
            "v3.md": "# system\n{{ body }} and {{ due }}\n# user\n<a>{{ body }}</a>",
        },
    )
    beginnings = [
        "sort/task.toml: repair: ",
        "sort/contract.py can't be imported: NameError",
        "sort/v1.md line 2: unrendered placeholder {body}",
        "sort/v1.md line 5: {{ }} stands outside",
        "sort/v2.md: active: which version",
        "sort/v2.md: modle: there is no such key",
        "sort/v2.md line 5: text before the first heading",
        "sort/v3.md: the system part uses {{ body }}, {{ due }}: ",
    ]
    found = problems(tmp_path)
    assert [problem[: len(start)] for problem, start in zip(found, beginnings, strict=True)] == beginnings


def test_a_task_file_that_is_no_toml_keeps_nothing_else_from_being_said(tmp_path):
    prompts = {"v1.md": "---\nmax_output_tokens: 5\ntruncation_retry_tokens: 4\n---\n# user\n{{ body }}\n"}
    write_task(tmp_path, task_toml="model = \n", prompts=prompts)
    toml, prompt = problems(tmp_path)
    assert toml.startswith("sort/task.toml is not TOML")
    assert prompt.startswith("sort/v1.md line 6: {{ }} stands outside")


def test_what_several_tasks_have_wrong_is_said_at_once(tmp_path):
    for name in ("a", "b", "c"):
        write_task(tmp_path, name, task_toml=TASK_TOML + ("" if name == "b" else "x = 1\ny = 2\n"))
    assert [problem.split(": there")[0] for problem in problems(tmp_path)] == [
        f"{name}/task.toml: {key}" for name in ("a", "c") for key in ("x", "y")
    ]


def test_a_required_key_that_is_mistyped_is_one_problem_not_two(tmp_path):
    write_task(tmp_path, task_toml='modell = "a:b"\nactive = { v1 = 100 }\n')
    assert problems(tmp_path) == ["sort/task.toml: modell: there is no such key (did you mean model?)."]


def test_a_wrong_limit_is_not_held_against_the_one_that_was_compared_with_it(tmp_path):
    write_task(tmp_path, task_toml=TASK_TOML + "max_output_token = 200\ntruncation_retry_tokens = 400\n")
    assert [problem.split(":")[1] for problem in problems(tmp_path)] == [" max_output_token"]


def test_every_variable_that_is_no_field_is_named_at_once(tmp_path):
    write_task(tmp_path, prompts={"v1.md": "# user\n<a>{{ bodi }}</a>\n<b>{{ urgend }}</b>\n{{ body }}\n{x}\n"})
    bodi, urgend, braces, outside = problems(tmp_path)
    assert "{{ bodi }} but Input has no such field (did you mean body?)" in bodi
    assert "{{ urgend }} but Input has no such field (did you mean urgent?)" in urgend
    assert "line 5: unrendered placeholder {x}" in braces
    assert "line 4: {{ }} stands outside" in outside


def test_a_folder_without_a_task_file_runs_no_code(tmp_path):
    folder = write_task(tmp_path, contract=f"open({str(tmp_path / 'ran')!r}, 'w')")
    (folder / "task.toml").unlink()
    assert len(problems(tmp_path)) == 1
    assert not (tmp_path / "ran").exists()


def test_loading_writes_nothing_and_leaves_the_import_path_alone(tmp_path):
    folder = write_task(tmp_path)
    before = list(sys.path)
    load_catalogue(tmp_path, verify_checks)
    assert sorted(path.name for path in folder.iterdir()) == ["contract.py", "task.toml", "v1.md"]
    assert sys.path == before


def split_task(tmp_path: Path, shares: str):
    toml = TASK_TOML.replace("{ v1 = 100 }", shares)
    return load_task(write_task(tmp_path, task_toml=toml, prompts={"v1.md": PROMPT, "v2.md": PROMPT}), verify_checks)


def test_a_split_follows_the_hash_of_the_request_id(tmp_path):
    task = split_task(tmp_path, "{ v1 = 70, v2 = 30 }")
    for number in range(500):
        expected = "v1" if fraction("split/sort", str(number)) < 0.7 else "v2"
        assert task.version_for(str(number)).name == expected


def test_a_version_whose_share_grows_keeps_the_ids_it_had(tmp_path):
    small = split_task(tmp_path / "a", "{ v2 = 5, v1 = 95 }")
    large = split_task(tmp_path / "b", "{ v1 = 60, v2 = 40 }")
    ids = [str(number) for number in range(2_000)]
    had = {one for one in ids if small.version_for(one).name == "v2"}
    has = {one for one in ids if large.version_for(one).name == "v2"}
    assert 50 < len(had) < 150
    assert had < has


def test_a_share_of_zero_gets_nothing(tmp_path):
    task = split_task(tmp_path, "{ v1 = 0, v2 = 100 }")
    assert {task.version_for(str(number)).name for number in range(200)} == {"v2"}


def test_a_version_that_is_not_active_is_loaded_but_gets_nothing(tmp_path):
    task = split_task(tmp_path, "{ v1 = 100 }")
    assert list(task.versions) == ["v1", "v2"]
    assert {task.version_for(str(number)).name for number in range(200)} == {"v1"}


def test_versions_are_ordered_by_number_not_by_spelling(tmp_path):
    prompts = {f"v{number}.md": PROMPT for number in (1, 2, 10)}
    assert list(load_task(write_task(tmp_path, prompts=prompts), verify_checks).versions) == ["v1", "v2", "v10"]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (TASK_TOML + "max_ouput_tokens = 5", ["task.toml: max_ouput_tokens", "did you mean max_output_tokens"]),
        ("active = { v1 = 100 }", ["task.toml: model: is missing", "anthropic:claude"]),
        ('model = "claude"\nactive = { v1 = 100 }', ["task.toml: model", "provider:model"]),
        ('model = "a:b"', ["task.toml: active: is missing"]),
        ('model = "a:b"\nactive = { v1 = 90 }', ["task.toml: active", "v1 = 90", "100 percent"]),
        ('model = "a:b"\nactive = { v7 = 100 }', ["task.toml: active", "no v7.md", "v1"]),
        (TASK_TOML + "max_output_tokens = 0", ["task.toml: max_output_tokens", "it is 0"]),
        (TASK_TOML + 'max_output_tokens = "9"', ["task.toml: max_output_tokens", "it is '9'"]),
        (TASK_TOML + 'structured = "strict"', ["task.toml: structured", "strict_tool", "it is 'strict'"]),
        (TASK_TOML + "repair = true", ["task.toml: repair: not in this version"]),
        (
            TASK_TOML + "truncation_retry_tokens = 10",
            ["task.toml: truncation_retry_tokens", "max_output_tokens (1000)"],
        ),
        (TASK_TOML + '[checks]\nlanguage = "same-as-input"', ["task.toml: checks.language: not in this version"]),
        (TASK_TOML + "[checks]\ncut_off = true", ["task.toml: checks.cut_off: not in this version"]),
        (TASK_TOML + "[checks]\nplaceholders = true", ["task.toml: checks.placeholders", "did you mean placeholder"]),
        (TASK_TOML + "[checks]\nplaceholder = { alow = {} }", ["checks.placeholder.alow", "did you mean allow"]),
        (
            TASK_TOML + '[checks]\nplaceholder = { allow = { "$.customer" = ["Null"] } }',
            ["checks.placeholder.allow", "$.customer", "did you mean $.customer_name"],
        ),
        (TASK_TOML + "[checks", ["task.toml is not TOML"]),
        ("model = a:b\n", ["task.toml is not TOML", 'line 1, column 9): model = a:b; text needs quotes: "a:b".']),
    ],
)
def test_a_wrong_task_file_is_refused_with_file_key_and_remedy(tmp_path, toml, expected):
    message = refusal(tmp_path, task_toml=toml)
    for part in expected:
        assert part in message


@pytest.mark.parametrize("quiet", ["repair = false", "[checks]\nlanguage = false\necho = false\nempty = true"])
def test_what_is_not_built_may_stand_at_off(tmp_path, quiet):
    load_task(write_task(tmp_path, task_toml=TASK_TOML + quiet), verify_checks)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("---\nmodle: a:b\n---\n" + PROMPT, ["v1.md: modle", "did you mean model"]),
        ("---\nactive:\n  v1: 100\n---\n" + PROMPT, ["v1.md: active", "task.toml only"]),
        ("---\nmax_output_tokens: many\n---\n" + PROMPT, ["v1.md: max_output_tokens", "it is 'many'"]),
        ("---\nchecks:\n  grounded: true\n---\n" + PROMPT, ["v1.md: checks.grounded: not in this version"]),
        ("---\nmodel: [a\n---\n" + PROMPT, ["v1.md: the front matter is not YAML"]),
        ("---\njust words\n---\n" + PROMPT, ["v1.md: the front matter holds no settings"]),
        ("Hello\n" + PROMPT, ["v1.md line 1: text before the first heading", '"# system" or "# user".']),
        ("# sytem\nSort.\n" + PROMPT, ["v1.md line 1: text before", '"# user" (did you mean "# system"?).']),
        ("---\nrepair: false\n---\n\n## User:\n{{ body }}", ["v1.md line 5: text", 'mean "# user"?)']),
        ("# rules\n" + PROMPT, ['a line "# system" or "# user".']),
        ("---\nrepair: false\n---\n# system\nSort.\n# usr\n{{ body }}", ["line 6 is another", 'mean "# user"?).']),
        ("# system\nSort.\n# rules\nBe kind.", ["what is said about each event."]),
        ("# system\nSort it.", ['no "# user" part']),
        ("# user\n\n# system\nSort it.", ['no "# user" part']),
        (PROMPT + PROMPT, ['"# system" stands there twice']),
    ],
)
def test_a_wrong_prompt_file_is_refused_with_the_reason(tmp_path, prompt, expected):
    message = refusal(tmp_path, prompts={"v1.md": prompt})
    for part in expected:
        assert part in message


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"tasks\.path: the folder .*nowhere isn't there"):
        load_catalogue(tmp_path / "nowhere", verify_checks)


def test_a_folder_without_tasks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no task"):
        load_catalogue(tmp_path, verify_checks)


def test_a_folder_that_is_no_task_is_refused_not_passed_over(tmp_path):
    write_task(tmp_path)
    (tmp_path / "half").mkdir()
    with pytest.raises(ConfigError, match=r"half/task\.toml is missing"):
        load_catalogue(tmp_path, verify_checks)


def test_a_name_that_no_provider_takes_as_a_schema_name_is_refused(tmp_path):
    assert "letters, digits" in refusal(tmp_path, name="mein täsk")


@pytest.mark.parametrize("structured", ["json_object", "text"])
def test_where_the_provider_is_not_sent_the_schema_the_system_part_has_it(tmp_path, structured):
    toml = TASK_TOML + f'structured = "{structured}"'
    version = load_task(write_task(tmp_path, task_toml=toml), verify_checks).versions["v1"]
    assert version.system.startswith("Sort it.\n\nAnswer with one JSON object")
    assert '"enum": ["billing", "unknown"]' in version.system
