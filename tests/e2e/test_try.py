"""`llm-stream try`: one request's way, shown to a person or as JSON, on good and on broken replies."""

import asyncio
import json
import os
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.main import app
from stream.simulator import Simulator

CHECKOUT = Path(__file__).parents[2]
INVOICES = str(CHECKOUT / "examples" / "requests" / "extract-invoice.jsonl")
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")


@pytest.fixture
def attempt(monkeypatch, tmp_path):
    """`llm-stream try ARGUMENTS` in an empty directory: exit code, stdout, stderr."""
    for name in [name for name in os.environ if name.startswith("LLM_STREAM")]:
        monkeypatch.delenv(name)
    for name in KEYS:
        monkeypatch.setenv(name, "sk-the-users-own-key-0123456789")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "", config: str = ""):
        return CliRunner().invoke(app, [*(["-c", config] if config else []), "try", *arguments], input=stdin)

    return run


def shown(attempt, *arguments: str, stdin: str = "") -> dict:
    return json.loads(attempt(*arguments, "--json", stdin=stdin).stdout)


def test_a_good_reply_is_shown_from_request_to_result(attempt):
    done = attempt("extract-invoice", INVOICES)
    assert done.exit_code == 0
    for part in ("Request  inv-0001", "── system ", "── user ", "Reply  claude-haiku-4-5", "all 5 passed", "$0.00"):
        assert part in done.stdout
    assert "Published  a result to llm.results" in done.stdout
    assert done.stdout.rstrip().endswith("✓ a result: extract-invoice's reply passed every check")


def test_without_input_it_takes_the_tasks_first_example(attempt):
    assert shown(attempt, "classify-ticket")["request"]["id"] == "ticket-0001"
    assert shown(attempt, "classify-ticket", "--line", "4")["request"]["id"] == "ticket-0004"


@pytest.mark.parametrize(
    ("fault", "reason", "check"),
    [
        ("truncate", "call/truncated", "stop reason"),
        ("refuse", "call/refused", "stop reason"),
        ("not_json_text", "validate/not_json", "json"),
        ("schema_violation", "validate/schema", "contract"),
        ("placeholder", "validate/placeholder", "placeholder"),
    ],
)
def test_a_broken_reply_ends_with_1_and_the_check_that_found_it(attempt, fault, reason, check):
    done = attempt("extract-invoice", INVOICES, "--fault", fault)
    assert done.exit_code == 1
    assert f"✗ {check}" in done.stdout
    assert "Published  a dead letter to llm.dlq" in done.stdout
    assert f"✗ a dead letter, {reason}: " in done.stdout


def test_a_reply_that_was_cut_off_shows_why_there_was_a_second_call(attempt):
    calls = attempt("extract-invoice", INVOICES, "--fault", "truncate").stdout.partition("Calls  2 sent")[2]
    lines = [line.strip() for line in calls.splitlines()[1:4]]
    assert lines == [
        "1 · a reply, stop reason max_tokens, 48 tokens",
        "cut off: asked for once more, with up to 8,000 tokens (truncation_retry_tokens)",
        "2 · a reply, stop reason max_tokens, 48 tokens",
    ]


def test_a_refused_call_is_tried_again_with_as_many_tokens_and_says_nothing_of_them(attempt):
    assert "once more" not in attempt("extract-invoice", INVOICES, "--fault", "server_error").stdout


def test_violations_are_shown_with_their_paths(attempt):
    checks = {each["check"]: each for each in shown(attempt, "extract-invoice", "--fault", "placeholder")["checks"]}
    assert checks["contract"]["passed"] is True
    assert checks["placeholder"]["passed"] is False
    assert checks["placeholder"]["violations"][0]["path"].startswith("$.")


def test_json_is_one_object_with_what_would_have_been_published(attempt):
    tried = shown(attempt, "extract-invoice", INVOICES, "--line", "2")
    (published, *_) = tried["published"]
    assert (tried["outcome"], tried["simulated"], tried["cost"]["calls"]) == ("completed", True, 1)
    assert published["topic"] == "llm.results"
    assert published["value"]["request_id"] == "inv-0002"
    assert published["headers"]["llm.source.topic"] == "llm.requests"


@pytest.mark.parametrize("form", ["inline", "stdin", "file"])
def test_the_input_may_be_given_in_place_by_stdin_or_as_a_file(attempt, tmp_path, form):
    request = '{"id": "mine", "input": {"subject": "Hello",\n "body": "Where is my parcel?", "channel": "web"}}'
    (tmp_path / "one.json").write_text(request)
    argument = {"inline": request, "stdin": "-", "file": "one.json"}[form]
    tried = shown(attempt, "classify-ticket", argument, stdin=request if form == "stdin" else "")
    assert (tried["request"]["id"], tried["outcome"]) == ("mine", "completed")


def test_a_request_that_never_becomes_a_prompt_costs_nothing(attempt):
    done = attempt("classify-ticket", '{"subject": "x", "body": " ", "channel": "web"}')
    assert done.exit_code == 1
    assert "render/invalid_input" in done.stdout
    assert "0 calls" in done.stdout


def test_control_characters_of_a_request_do_not_reach_the_terminal(attempt):
    done = attempt("classify-ticket", "--line", "16", "--full")
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\\x1b[1;31mFATAL" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("extract-invoise",), "did you mean extract-invoice?"),
        (("extract-invoise", "{}"), "did you mean extract-invoice?"),
        (("extract-invoice", '{"document_text": nope}'), "INPUT: Not JSON at column 19"),
        (("extract-invoice", "nowhere.json"), "nowhere.json can't be read"),
        (("extract-invoice", INVOICES, "--line", "99"), "has no line 99"),
        (("extract-invoice", "--fault", "truncat"), "did you mean truncate?"),
        (("extract-invoice", "--fault", "truncate", "--real"), "can't be laid on the real provider"),
        (("extract-invoice", "--real"), "isn't configured"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(attempt, arguments, message, monkeypatch):
    monkeypatch.setattr("stream.cli.output.progress_wanted", lambda: "--real" not in arguments)
    done = attempt(*arguments)
    assert done.exit_code == 2
    assert "… calling" not in done.stderr
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""


@pytest.mark.parametrize(("fault", "calls"), [("auth", 1), ("unknown_model", 1), ("server_error", 4)])
def test_a_provider_that_gives_no_reply_ends_with_3_and_no_dead_letter(attempt, fault, calls):
    done = attempt("extract-invoice", "--fault", fault, "--json")
    tried = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (tried["outcome"], tried["published"], tried["cost"]["calls"]) == ("no_reply", [], calls)
    assert "would not become a dead letter" in done.stderr


def real_provider(folder: Path, base_url: str) -> str:
    config = folder / "real.toml"
    config.write_text(
        f'[tasks]\npath = "{CHECKOUT / "prompts"}"\n'
        f'[providers.anthropic]\nkind = "anthropic"\nbase_url = "{base_url}"\ndeadline_s = 5\n'
        f'[providers.openai]\nkind = "openai"\nbase_url = "{base_url}/v1"\n'
    )
    return str(config)


class Elsewhere:
    """A simulator in a thread of its own: what `--real` calls as the real provider."""

    def __init__(self, **options):
        self.simulator = Simulator(latency_ms=0, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._submit = lambda work: asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def __enter__(self) -> Simulator:
        self._thread.start()
        self._submit(self.simulator.start())
        return self.simulator

    def __exit__(self, *_) -> None:
        self._submit(self.simulator.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def test_real_calls_the_configured_provider_with_its_key(attempt, tmp_path):
    with Elsewhere() as simulator:
        done = attempt(
            "extract-invoice", INVOICES, "--real", "--json", config=real_provider(tmp_path, simulator.base_url)
        )
        tried = json.loads(done.stdout)
        assert (done.exit_code, tried["simulated"], len(simulator.ledger)) == (0, False, 1)


def test_real_names_an_address_that_is_not_the_official_one(attempt, tmp_path, monkeypatch):
    monkeypatch.setattr("stream.cli.output.progress_wanted", lambda: True)
    with Elsewhere() as simulator:
        done = attempt("extract-invoice", INVOICES, "--real", config=real_provider(tmp_path, simulator.base_url))
        assert f"… calling the provider at {simulator.base_url} for extract-invoice" in done.stderr
        assert f"  by the provider at {simulator.base_url}\n" in done.stdout


def test_a_trial_with_its_own_simulator_names_no_address(attempt):
    assert "by the provider at" not in attempt("extract-invoice", INVOICES).stdout


def test_a_wrong_key_is_one_clear_line_at_once(attempt, tmp_path):
    with Elsewhere(reject_key="sk-the-users-own-key-0123456789") as simulator:
        done = attempt("extract-invoice", INVOICES, "--real", config=real_provider(tmp_path, simulator.base_url))
        assert done.exit_code == 3
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: The key in ANTHROPIC_API_KEY")
        assert "was refused: anthropic (127.0.0.1:" in line
        assert "the-users-own-key" not in done.output
        assert len(simulator.ledger) == 1


def test_the_users_key_never_goes_to_the_simulator(attempt, monkeypatch):
    started: list[Simulator] = []
    start = Simulator.start

    async def noted(self: Simulator) -> None:
        started.append(self)
        await start(self)

    monkeypatch.setattr(Simulator, "start", noted)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "first")
    attempt("extract-invoice")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "second")
    attempt("extract-invoice")
    first, second = ([call.key for call in each.ledger] for each in started)
    assert first == second
    assert len(first) == 1


def test_a_provider_nobody_can_reach_ends_with_3(attempt, tmp_path):
    done = attempt("extract-invoice", INVOICES, "--real", config=real_provider(tmp_path, "http://127.0.0.1:1"))
    assert done.exit_code == 3
    assert "No reply after 4 calls; the last: no answer from anthropic (127.0.0.1:1)" in done.stderr
    assert "Is http://127.0.0.1:1 the right base_url, and does a server run there?" in done.stderr
    assert "without a known price" not in done.stdout
