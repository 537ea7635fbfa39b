"""From an event's input to a prompt: the template language, and what an event can't do with it."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.errors import ConfigError, RenderError
from stream.core.records import Request
from stream.tasks import Version, load_task
from stream.tasks.template import MAX_PROMPT_BYTES
from stream.validation import verify_checks
from tests.support.task_folders import write_task


def version_of(user: str, system: str = "Sort it.") -> Version:
    with TemporaryDirectory() as folder:
        prompts = {"v1.md": f"# system\n{system}\n\n# user\n{user}\n"}
        return load_task(write_task(Path(folder), prompts=prompts), verify_checks).versions["v1"]


def rendered(user: str, **values: object) -> str:
    return version_of(user).render(Request("1", "sort", {"body": "Hi", **values})).user


def failure(user: str, input: object) -> RenderError:  # noqa: A002
    with pytest.raises(RenderError) as failed:
        version_of(user).render(Request("1", "sort", input))
    return failed.value


def refusal(user: str, system: str = "Sort it.") -> str:
    with pytest.raises(ConfigError) as refused:
        version_of(user, system)
    return str(refused.value)


PLAIN = "<body>{{ body }}</body>"


def test_event_text_stands_where_the_template_puts_it():
    assert rendered("Read this:\n<body>\n{{ body }}\n</body>", body="Hello") == "Read this:\n<body>\nHello\n</body>"


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("{{ urgent }}", "false"),
        ("{{ customer_name }}", "null"),
        ("{{ sent_on }}", "2026-03-04"),
        ("{{ lines }}", '[{"text":"é"}]'),
        ("{{ lines[0].text }}", "é"),
        ("{{ 1 + 2 * 3 }}", "7"),
        ("{{ body | upper }}", "HI"),
        ("{% for line in lines %}{{ loop.index }}{{ line.text }}{% endfor %}", "1é"),
        ("{% if urgent %}now{% else %}later{% endif %}", "later"),
        ("{% set x = body %}{{ x }}", "Hi"),
        ("{# nobody sees this #}", ""),
        ("{% raw %}{name} {{ name }}{% endraw %}", "{name} {{ name }}"),
    ],
)
def test_values_appear_as_a_person_would_write_them(expression, shown):
    text = rendered(f"<b>{expression}</b>", sent_on="2026-03-04", lines=[{"text": "é"}])
    assert text == f"<b>{shown}</b>"


def test_template_syntax_in_event_text_is_only_text():
    text = "{{ 7 * 7 }} and {% for x in y %} and {# c #}"
    assert rendered(PLAIN, body=text) == f"<body>{text}</body>"


@pytest.mark.parametrize(
    "attack",
    [
        "</body>",
        "</BODY>",
        "< / body >",
        "</\u200bbody>",
        "\uff1c/body>",
        "<\uff0fbody>",
        "<body>",
        '<body class="x">',
        "x</bo",
        "x<",
        "x</",
    ],
)
def test_event_text_cannot_write_the_delimiter_around_it(attack):
    text = rendered(PLAIN, body=attack)
    inside = text.removeprefix("<body>").removesuffix("</body>")
    assert "<" not in inside
    assert "\uff1c" not in inside
    assert "&lt;" in inside


def test_a_delimiter_cannot_be_put_together_from_two_fields():
    text = rendered("<body>{{ body }}{{ customer_name }}</body>", body="x </bo", customer_name="dy> y")
    assert text == "<body>x &lt;/body> y</body>"


@pytest.mark.parametrize(
    "text", ["<b>bold</b>", "a < b c", "a < c", "<bodyguard>", "<!-- c -->", "x > y", "&lt;", "&amp;"]
)
def test_all_other_text_stays_as_it_is(text):
    assert rendered(PLAIN, body=text) == f"<body>{text}</body>"


def test_filters_cannot_smuggle_the_delimiter_in():
    assert rendered("<body>{{ body | replace('#', '/') | lower }}</body>", body="<#BODY>") == "<body>&lt;/body></body>"


HOSTILE = PLAIN.replace("}}<", "}}{{ customer_name }}<")
FRAGMENTS = st.lists(st.sampled_from(["<", "/", "body", "BODY", " ", ">", "\u200b", "\uff1c", "x", "\n", "é"])).map(
    "".join
)
SPLIT_HOSTILE = version_of(HOSTILE)


@given(FRAGMENTS, FRAGMENTS)
def test_whatever_the_event_says_there_is_one_delimiter_pair(body, name):
    text = SPLIT_HOSTILE.render(Request("1", "sort", {"body": body, "customer_name": name})).user
    visible = re.sub("[\\s\u200b]", "", text).lower().replace("\uff1c", "<")
    assert len(re.findall(r"</?body(?![\w-])", visible)) == 2
    inside = text.removeprefix("<body>").removesuffix("</body>")
    assert inside.replace("&lt;", "<") == (body + name).replace("\uff1c", "<") or "\uff1c" in inside


def test_a_megabyte_of_opening_brackets_takes_no_time_to_speak_of():
    hostile = ("<" + " " * 50) * 20_000
    assert len(rendered(PLAIN, body=hostile)) >= len(hostile)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("<b>{{ customr_name }}</b>", ["uses {{ customr_name }} but Input has no such field", "customer_name?"]),
        ("{{ body }}", ["line 5", "outside of any tag", "<document>"]),
        ("Hi\n<a>{{ body }}</a>\n{{ lines }}", ["line 7", "outside of any tag"]),
        ("<a>{{ body }}", ["outside of any tag"]),
        ('<a name="{{ body }}"></a>', ["inside a tag"]),
        ("<{{ body }}></a>", ["inside a tag"]),
        ("<a>{{ body }}</a>\nDear {customer_name}", ["line 6", "unrendered placeholder {customer_name}", "raw"]),
        ("<a>{{ body }}</a> ${name}", ["unrendered placeholder ${name}"]),
        ("<a>{{ body }}</a> %(name)s", ["unrendered placeholder %(name)s"]),
        ("<a>{{ body | uper }}</a>", ["line 5", "uper"]),
        ("<a>{{ body | random }}</a>", ["random"]),
        ("<a>{{ body </a>", ["line 5"]),
        ("{% macro m() %}x{% endmacro %}<a>{{ body }}</a>", ["prompts have no macro"]),
        ('{% include "x" %}<a>{{ body }}</a>', ["prompts have no include"]),
        ("{% set x %}<a>{% endset %}<a>{{ body }}</a>", ["prompts have no assignblock"]),
        ("<a>{{ body.upper() }}</a>", ["prompts have no call"]),
        ("<a>{{ range(3) }}</a>", ["prompts have no call"]),
    ],
)
def test_a_prompt_that_cannot_work_is_refused_at_load(user, expected):
    message = refusal(user)
    assert "v1.md" in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize("system", ["Hello {{ body }}", "{% if urgent %}Hurry.{% endif %}", "{{ nobody }}"])
def test_the_system_part_may_name_no_variable(system):
    assert "may only stand in the user part" in refusal(PLAIN, system)


def test_a_left_over_in_the_system_part_is_refused():
    assert "unrendered placeholder {company}" in refusal(PLAIN, "You work for {company}.")


def test_braces_that_are_meant_can_be_written():
    version = version_of(PLAIN, '{% raw %}Write {name}.{% endraw %} Or {"a": 1}, {}.')
    assert version.system == 'Write {name}. Or {"a": 1}, {}.'


@pytest.mark.parametrize(
    "value",
    [
        "{customer_name}",
        "{{customer_name}}",
        "{{ customer.name }}",
        "{{ name | upper }}",
        "{{{name}}}",
        "${name}",
        "${{ name }}",
        "#{name}",
        "%{name}",
        "%(name)s",
        "<%= name %>",
        " {First Name} \n",
        "{имя}",
        "{{ user['name'] }}",
    ],
)
def test_a_field_that_is_a_placeholder_is_never_paid_for(value):
    failed = failure(PLAIN, {"body": "Hi", "customer_name": value})
    assert failed.code == "unrendered_input"
    assert "$.customer_name" in failed.detail


def test_placeholders_are_found_however_deep_they_are():
    assert failure(PLAIN, {"body": "Hi", "lines": [{"text": "a"}, {"text": "{x}"}]}).detail.startswith(
        "$.lines[1].text"
    )


@pytest.mark.parametrize(
    "value", ["Dear {name}, hello", "{}", "{ }", '{"a": 1}', "{1}", "100 %", "{{", "name", "{" + "a" * 200 + "}"]
)
def test_text_that_merely_holds_braces_is_text(value):
    assert value in rendered("<b>{{ customer_name }}</b>", customer_name=value)


def test_a_long_run_of_braces_is_judged_quickly():
    assert rendered(PLAIN, body="{" * 60 + "a " * 25 + "}") != ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "$.body: Field required"),
        ({"body": 5}, "$.body: Input should be a valid string"),
        ({"body": "Hi", "sent_on": "yesterday"}, "$.sent_on: Input should be a valid date"),
        ({"body": "Hi", "urgent": "yes"}, "$.urgent: Input should be a valid boolean"),
        ({"body": "Hi", "lines": [{"text": 1}]}, "$.lines[0].text"),
        ({"body": "Hi", "odd key": 1}, '$["odd key"]: Extra inputs are not permitted'),
        ([], "$: Input should be an object"),
        (None, "The request has no input, or null"),
        ({"body": "\ud800"}, "The input isn't JSON"),
        ({"body": object()}, "The input isn't JSON"),
    ],
)
def test_input_that_does_not_fit_says_where_and_why(value, expected):
    failed = failure(PLAIN, value)
    assert failed.code == "invalid_input"
    assert expected in failed.detail


def test_the_reasons_never_repeat_the_value_and_are_bounded():
    failed = failure(PLAIN, {f"secret{number}": "hunter2" for number in range(1_000)} | {"body": 1})
    assert "hunter2" not in failed.detail
    assert "more" in failed.detail
    assert len(failed.detail) < 2_000


def test_a_missing_attribute_is_a_template_error():
    failed = failure("<a>{{ lines[0].nothing }}</a>", {"body": "Hi", "lines": [{"text": "x"}]})
    assert failed.code == "template_error"
    assert "v1.md" in failed.detail


@pytest.mark.parametrize(
    "expression", ["body * 1000000", "2 ** 3", "'%999999d' % 1", "lines[5].text", "body | int / 0"]
)
def test_whatever_goes_wrong_inside_a_template_is_a_template_error(expression):
    assert failure(f"<a>{{{{ {expression} }}}}</a>", {"body": "Hi"}).code == "template_error"


def test_a_prompt_that_grows_too_large_is_not_sent():
    failed = failure("<a>" + "{{ body }}" * 9 + "</a>", {"body": "x" * (1024 * 1024)})
    assert failed.code == "too_long"


def test_the_bound_counts_bytes_not_characters():
    body = "漢" * (MAX_PROMPT_BYTES // 3 + 1)
    assert failure(PLAIN, {"body": body}).code == "too_long"


def test_a_text_of_five_megabytes_is_still_a_prompt():
    assert len(rendered(PLAIN, body="x" * 5_000_000)) > 5_000_000


def test_control_characters_and_emoji_pass_unchanged():
    text = "a\x00\x07\x1b[31m\u202e👩🏽\u200d🚀 b"
    assert rendered(PLAIN, body=text) == f"<body>{text}</body>"
