"""What libraries say comes in our form, from a warning on, and never with a request's headers or body."""

import logging
import os
import pty
import sys

import pytest

from stream.telemetry.logs import Logs, stderr_fd
from tests.support.telemetry_parts import logging_to_a_pipe

KEY = "sk-ant-api03-abcdefghij0123456789"


def test_a_librarys_warning_is_a_line_like_ours():
    with logging_to_a_pipe() as written:
        logging.getLogger("aiohttp.client").warning("closing %d connections", 3)
    (line,) = written.lines
    assert (line["level"], line["event"], line["library"]) == ("warning", "closing 3 connections", "aiohttp.client")


@pytest.mark.parametrize("library", ["anthropic", "openai", "httpx", "httpx2", "aiohttp", "something.else"])
def test_what_a_library_says_below_a_warning_is_left_out(library):
    with logging_to_a_pipe() as written:
        logger = logging.getLogger(library)
        before = logger.level
        logger.setLevel(logging.DEBUG)  # as OPENAI_LOG=debug does, also after we began
        logger.debug("request headers: authorization %s", KEY)
        logger.info("HTTP Request: POST")
        logger.setLevel(before)
    assert written.text == ""


@pytest.mark.parametrize("library", ["anthropic", "openai", "httpx2", "aiohttp"])
def test_debug_lines_that_an_environment_variable_turned_on_are_not_even_made(library):
    logger = logging.getLogger(library)
    logger.setLevel(logging.DEBUG)
    with logging_to_a_pipe():
        assert not logger.isEnabledFor(logging.INFO)


def test_a_key_in_a_librarys_words_is_taken_out():
    with logging_to_a_pipe() as written:
        logging.getLogger("aiohttp").error("refused: %s", KEY)
    assert KEY not in written.text
    assert written.lines[0]["level"] == "error"


def test_an_exception_is_told_with_its_place_in_one_line():
    with logging_to_a_pipe() as written:
        try:
            int("many\nlines")
        except ValueError:
            logging.getLogger("asyncio").exception("a task died")
    (line,) = written.lines
    assert line["error"].startswith("ValueError: invalid literal")
    assert line["where"].startswith("test_an_exception_is_told")


def test_a_message_whose_arguments_do_not_fit_is_told_all_the_same():
    with logging_to_a_pipe() as written:
        logging.getLogger("clumsy").warning("%d apples", "three")
    assert written.lines[0]["library"] == "clumsy"
    assert written.lines[0]["error"] == "TypeError"


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_unprintable_exception_does_no_harm():
    error = RudeError()
    with logging_to_a_pipe() as written:
        logging.getLogger("rude").error("oh", exc_info=(RudeError, error, None))
    assert written.lines[0]["error"] == "RuntimeError"


def test_levels_of_a_librarys_own_making_do_no_harm():
    with logging_to_a_pipe() as written:
        logging.getLogger("own").log(35, "between warning and error")
        logging.getLogger("own").log(99, "beyond critical")
    assert [line["level"] for line in written.lines] == ["warning", "error"]


def test_handlers_of_others_are_back_afterwards():
    before = list(logging.getLogger().handlers)
    with logging_to_a_pipe():
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before


def test_auto_is_text_on_a_terminal():
    primary, terminal = pty.openpty()
    with Logs("auto", fd=terminal) as logs:
        logs.logger.info("hello")
    said = os.read(primary, 1_000).decode()
    os.close(primary)
    os.close(terminal)
    assert "info" in said
    assert "{" not in said


def test_auto_is_json_elsewhere():
    with logging_to_a_pipe("auto") as written:
        written.logs.logger.info("hello")
    assert written.lines[0]["event"] == "hello"


def test_text_that_is_not_for_a_terminal_has_no_colours():
    with logging_to_a_pipe("text") as written:
        written.logs.logger.error("hello")
    assert "\x1b" not in written.text


@pytest.mark.parametrize("stderr", [None, object()], ids=["closed at start", "without a descriptor"])
def test_without_a_stderr_logging_goes_nowhere_and_counts(monkeypatch, stderr):
    monkeypatch.setattr(sys, "stderr", stderr)
    lost: list[int] = []
    assert stderr_fd() is None
    with Logs("json", on_lost=lost.append) as logs:
        logs.logger.info("hello")
    assert sum(lost) == 1
