"""What the Markdown pages promise can be kept: links lead somewhere, commands exist, the configuration is one."""

import re
from pathlib import Path

import pytest

from stream.cli.commands import COMMANDS
from stream.core.errors import CODES, INTERNAL_ERROR
from stream.core.starting import StopCause
from stream.settings.load import load

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("stream/cli/scaffold/*.md")],
    key=lambda path: str(path),
)
README = ROOT / "README.md"
SCAFFOLD = ROOT / "stream" / "cli" / "scaffold" / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMAND = re.compile(r"llm-stream((?: --?[\w-]+(?:[ =]\S+)?)*) ([a-z][a-z_-]*)")


def ids(path):
    return str(path.relative_to(ROOT))


def prose(text):
    """The page without its code blocks, whose brackets are no links."""
    return _FENCE.sub("", text)


def anchors(text):
    """The fragments that GitHub gives a page's headings."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(prose(text)))
    return {heading.strip().replace(" ", "-") for heading in kept}


def broken_links(page, text):
    """Links of a page that lead to no file, or to no heading of it. Other sites aren't asked."""
    broken = []
    for link in _LINK.findall(prose(text)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (fragment and fragment not in anchors(_text_of(target, page, text))):
            broken.append(link)
    return broken


def _text_of(target, page, text):
    return text if target == page else target.read_text(encoding="utf-8")


def commands_in(text):
    """The words after `llm-stream` where it is run: in code blocks, indented code and code spans."""
    code = [block for _, block in _FENCE.findall(text)]
    code += re.findall(r"^ {4}(\S.*)$", prose(text), re.MULTILINE)
    code += re.findall(r"`([^`\n]+)`", prose(text))
    return {word for each in code for _, word in _COMMAND.findall(each)}


def source_code():
    """All of the package, as one text."""
    return "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "stream").rglob("*.py")))


def first_toml(text):
    """A page's first block of TOML."""
    return next(block for language, block in _FENCE.findall(text) if language == "toml")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_link_to_nowhere_is_noticed():
    text = "# Here\n[a](docs/nowhere.md) [b](#there) [c](#here) [d](docs/tasks.md#nothing) [e](docs/tasks.md#checks)"
    assert broken_links(README, text) == ["docs/nowhere.md", "#there", "docs/tasks.md#nothing"]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_named_exists(page):
    assert commands_in(page.read_text(encoding="utf-8")) <= {row.name for row in COMMANDS}


def test_a_command_that_is_not_there_is_noticed():
    text = "Run `llm-stream storm --all`.\n\n    llm-stream -c a.toml console\n\n```sh\nllm-stream worker &\n```\n"
    assert commands_in(text) == {"storm", "console", "worker"}


def test_the_readme_names_every_command_a_newcomer_needs():
    text = README.read_text(encoding="utf-8")
    needed = {"demo", "init", "config", "try", "topics", "simulator", "send", "worker", "tail", "reconcile", "dlq"}
    assert needed <= commands_in(text)


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "configuration.md"], ids=ids)
def test_the_minimal_configuration_is_accepted(page, tmp_path):
    file = tmp_path / "llm-stream.toml"
    file.write_text(first_toml(page.read_text(encoding="utf-8")), encoding="utf-8")
    settings = load(file, {}).settings
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.providers["anthropic"].kind == "anthropic"


def test_the_settings_that_the_readme_exports_are_accepted(tmp_path):
    exports = re.findall(r"^export (LLM_STREAM__\w+)=(\S+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    file = tmp_path / "llm-stream.toml"
    file.write_text(first_toml(README.read_text(encoding="utf-8")), encoding="utf-8")
    settings = load(file, dict(exports)).settings
    assert settings.providers["anthropic"].base_url == "http://127.0.0.1:8089"
    assert settings.kafka.properties["security.protocol"] == "SASL_SSL"


def test_a_key_that_a_page_gives_is_no_word_of_our_messages():
    """Keys are masked wherever they appear: one that is an ordinary word would take words out of sentences."""
    keys = {
        key for page in PAGES for key in re.findall(r"export \w+_API_KEY=([\w-]+)", page.read_text(encoding="utf-8"))
    }
    assert keys
    assert [key for key in keys if key in source_code()] == []


def test_the_projects_page_sends_requests_before_every_worker_that_takes_five():
    steps = re.findall(r"^    llm-stream (send|worker --limit 5)", SCAFFOLD.read_text(encoding="utf-8"), re.MULTILINE)
    assert steps == ["send", "worker --limit 5"] * 2


@pytest.mark.parametrize("page", [p for p in PAGES if " --real\n" in p.read_text(encoding="utf-8")], ids=ids)
def test_before_a_real_call_the_simulators_address_is_taken_back(page):
    before = page.read_text(encoding="utf-8").partition(" --real\n")[0]
    assert "\nunset LLM_STREAM__PROVIDERS__ANTHROPIC__BASE_URL" in before.replace("\n    ", "\n")


def test_the_index_lists_every_page_and_every_decision():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {page for page in PAGES if index.parent in page.parents} - {index}
    assert {ids(page) for page in pages - linked} == set()


def test_decisions_are_numbered_without_gaps():
    numbers = [int(page.name[:4]) for page in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_troubleshooting_explains_every_failure_code():
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (`[^|]+`) \| ", text, re.MULTILINE)
    told = {(stage, code) for stage, cell in rows for code in re.findall(r"`(\w+)`", cell)}
    assert told == {(stage, code) for stage, codes in CODES.items() for code in codes} | {("any", INTERNAL_ERROR)}


def test_troubleshooting_explains_every_cause_of_a_stop():
    text = TROUBLESHOOTING.read_text(encoding="utf-8")
    section = text.partition("## Stopped partitions")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    given = source_code()
    assert told == {cause.value for cause in StopCause if f"StopCause.{cause.name}" in given}


def test_the_architecture_names_only_what_is_in_the_code():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    source = source_code()
    for name in ("OffsetTracker", "Retrying", "Gated", "Observed", "Billed", "Deadline", "Assignment"):
        assert name in text + (ROOT / "docs/images/a-records-way.svg").read_text(encoding="utf-8")
        assert f"class {name}" in source


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/images/*.svg")), ids=ids)
def test_a_picture_is_legible_by_itself(picture):
    """It says what it shows to those who can't see it, has a background of its own, and fetches nothing."""
    text = picture.read_text(encoding="utf-8")
    assert "<title" in text
    assert "<desc" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href=|url\((?!#)|@import|@font-face", text)
