"""The classification table, row by row: the words decide before the status does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.errors import ErrorClass
from stream.resilience.classify import ROWS, classify, may_be_own

C = ErrorClass


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (200, C.TRANSIENT),
        (204, C.TRANSIENT),
        (302, C.TRANSIENT),
        (307, C.TRANSIENT),
        (401, C.ACCOUNT),
        (402, C.ACCOUNT),
        (403, C.ACCOUNT),
        (408, C.TRANSIENT),
        (409, C.TRANSIENT),
        (413, C.BAD_REQUEST),
        (425, C.TRANSIENT),
        (429, C.RATE_LIMITED),
        (431, C.BAD_REQUEST),
        (500, C.TRANSIENT),
        (501, C.TRANSIENT),
        (502, C.TRANSIENT),
        (503, C.OVERLOADED),
        (504, C.TRANSIENT),
        (507, C.TRANSIENT),
        (520, C.TRANSIENT),
        (524, C.TRANSIENT),
        (529, C.OVERLOADED),
    ],
)
def test_a_status_without_known_words_has_its_class(status: int, error_class: ErrorClass) -> None:
    assert classify(status) is error_class
    assert classify(status, "a_new_word") is error_class


@pytest.mark.parametrize("word", ["insufficient_quota", "credit_balance_exhausted", "contract_spend_limit_reached",
                                  "organization_usage_limit_exceeded", "enforced_spend_limit_reached"])  # fmt: skip
def test_a_429_that_waiting_does_not_cure_is_about_the_account(word: str) -> None:
    assert classify(429, "rate_limit_error", word) is C.ACCOUNT
    assert classify(429, word) is C.ACCOUNT


def test_no_call_and_no_answer_is_transient() -> None:
    assert classify(None) is C.TRANSIENT


@pytest.mark.parametrize("status", [200, 400, 429, 500, 529])
def test_overloaded_error_is_overload_with_any_status(status: int) -> None:
    assert classify(status, "overloaded_error") is C.OVERLOADED


def test_a_400_about_usage_limits_is_about_the_account() -> None:
    message = "You have reached your specified API usage limits. You will regain access on 2026-12-01."
    assert classify(400, "invalid_request_error", None, message) is C.ACCOUNT


def test_a_404_about_a_model_shuts_that_model_only() -> None:
    assert classify(404, "not_found_error", None, "model: claude-nope") is C.UNKNOWN_MODEL
    assert classify(404, "invalid_request_error", "model_not_found") is C.UNKNOWN_MODEL
    assert classify(404, "NotFoundError", None, "The model `x` does not exist.") is C.UNKNOWN_MODEL


@pytest.mark.parametrize("status", [404, 405, 407, 410, 421, 426])
def test_a_status_about_the_address_without_a_word_dead_letters_nothing(status: int) -> None:
    assert classify(status, None, None, "<html>404 page not found</html>") is C.UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("status", "error_type", "code", "message"),
    [
        (404, "invalid_request_error", None, "Invalid URL (POST /v2/chat/completions)"),
        (404, None, "404", "Resource not found"),
        (404, None, "DeploymentNotFound", "The API deployment for this resource does not exist."),
        (404, "invalid_request_error", "thread_not_found", "No such thread."),
        (405, "invalid_request_error", "method_not_supported", "Not allowed to POST on /."),
        *((status, "invalid_request_error", None, "") for status in (407, 410, 421, 426)),
    ],
)
def test_a_status_about_the_address_pauses_whatever_words_it_carries(
    status: int, error_type: str | None, code: str | None, message: str
) -> None:
    assert classify(status, error_type, code, message) is C.UNKNOWN_MODEL


@pytest.mark.parametrize(
    "message",
    ["API key not valid. Please pass a valid API key.", "Invalid API key", "Incorrect API key provided: sk-..."],
)
def test_a_400_that_names_the_key_is_about_the_account(message: str) -> None:
    assert classify(400, "invalid_request_error", "INVALID_ARGUMENT", message) is C.ACCOUNT
    assert classify(400, None, None, message) is C.ACCOUNT


def test_a_400_with_a_word_nobody_knows_is_a_bad_request() -> None:
    assert classify(400, "a_new_word") is C.BAD_REQUEST


@pytest.mark.parametrize("status", [400, 406, 411, 412, 415, 417, 418, 419, 422, 428, 444, 451, 460, 464, 499])
def test_a_gateways_bare_page_is_judged_by_how_others_fare(status: int) -> None:
    assert classify(status) is C.TRANSIENT
    assert classify(status, None, None, "max_tokens must be positive") is C.BAD_REQUEST
    assert classify(status, "invalid_request_error") is C.BAD_REQUEST


def test_a_403_about_a_model_is_not_about_the_key() -> None:
    assert classify(403, "invalid_request_error", "model_not_found") is C.UNKNOWN_MODEL


def test_an_error_object_in_a_200_is_judged_by_its_words() -> None:
    assert classify(200, "rate_limit_error") is C.RATE_LIMITED
    assert classify(200, "authentication_error") is C.ACCOUNT
    assert classify(200, "invalid_request_error") is C.BAD_REQUEST
    assert classify(200, "api_error") is C.TRANSIENT


def test_a_generic_word_never_beats_a_status_about_the_key() -> None:
    assert classify(401, "invalid_request_error") is C.ACCOUNT
    assert classify(401, "api_error") is C.ACCOUNT


def test_too_long_a_context_is_a_bad_request_whatever_the_status() -> None:
    assert classify(500, "server_error", "context_length_exceeded") is C.BAD_REQUEST


@pytest.mark.parametrize(
    ("status", "word", "message"),
    [
        (403, None, "Request blocked."),
        (403, "permission_error", "No."),
        (400, None, "API key not valid."),
        (404, "invalid_request_error", "Invalid URL"),
        (405, None, ""),
        (
            429,
            "rate_limit_exceeded",
            "Request too large for m on tokens per min (TPM): Limit 10000, Requested 12000. The",
        ),
        (403, None, "Request blocked by policy: credit card number detected"),
        (403, None, "The payment data in your text was blocked"),
        (403, None, "Blocked: bank balance sheet"),
        (429, "tokens", "Limit: 10,000 / min. Requested: 12,000"),
        (429, None, "Request too large."),
    ],
)
def test_a_refusal_that_may_concern_one_request_alone(status: int, word: str | None, message: str) -> None:
    assert may_be_own(classify(status, word, None, message), status, word, None, message)


@pytest.mark.parametrize(
    ("status", "word", "message"),
    [
        (401, "invalid_api_key", ""),
        (402, None, "You requested up to 4096 tokens, but can only afford 1000."),
        (403, "insufficient_quota", ""),
        (403, None, "Your credit balance is too low."),
        (403, None, "Insufficient credits."),
        (403, None, "You exceeded your current quota, please check your plan and billing details."),
        (403, None, "Budget has been exceeded! Current cost: 12.1, max budget: 12.0"),
        (403, None, "Monthly spending limit reached."),
        (403, None, "Key limit exceeded (monthly limit)."),
        (403, None, "This account's billing is not active."),
        (403, "billing_not_active", ""),
        (400, "invalid_request_error", "You have reached your usage limits."),
        (429, "insufficient_quota", "Request too large"),
        (429, "rate_limit_exceeded", "Limit 10000, Used 9500, Requested 1200. Please try again in 4.2s."),
        (429, "rate_limit_exceeded", "Request too large for m: Limit 0, Requested 5."),
        (429, None, "Too many requests"),
        (500, None, "request too large"),
    ],
)
def test_a_refusal_that_is_never_one_requests_own(status: int, word: str | None, message: str) -> None:
    assert not may_be_own(classify(status, word, None, message), status, word, None, message)


@given(st.none() | st.integers(0, 999), st.none() | st.text(), st.none() | st.text(), st.text())
def test_every_answer_has_a_class(status: int | None, error_type: str | None, code: str | None, message: str) -> None:
    found = classify(status, error_type, code, message)
    assert found in set(ErrorClass) - {C.AMBIGUOUS}


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_no_row_stands_behind_one_that_always_answers_first(row: object) -> None:
    """A row that can never decide is a mistake in the table's order."""
    candidates = [
        (status, word, phrase)
        for status in range(200, 600)
        if row.statuses == () or status in row.statuses
        for word in (tuple(glob.replace("*", "x") for glob in row.words) or (None, "a_new_word"))
        for phrase in (row.phrases or ("",))
    ]
    assert any(
        next((r for r in ROWS if r.applies(status, (word,) if word else (), phrase)), None) is row
        for status, word, phrase in candidates
    )


@pytest.mark.parametrize(
    ("error_class", "error_type", "error_code", "message"),
    [
        (C.ACCOUNT, "invalid_request_error", None, "This organization has been disabled."),
        (C.ACCOUNT, "INVALID_ARGUMENT", None, "API key expired. Please renew the API key."),
        (C.ACCOUNT, "FAILED_PRECONDITION", None, "User location is not supported for the API use."),
        (C.ACCOUNT, "invalid_request_error", "organization_restricted", "Please reach out to support."),
        (C.ACCOUNT, "invalid_request_error", "account_deactivated", "The account has been closed."),
        (C.ACCOUNT, "budget_exceeded", "400", "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0"),
        (C.ACCOUNT, "BadRequest", None, "API version not supported"),
        (C.UNKNOWN_MODEL, "invalid_request_error", "model_decommissioned", "It is no longer supported."),
        (C.UNKNOWN_MODEL, None, "400", "Invalid model name passed in model=foo."),
        (C.UNKNOWN_MODEL, None, "400", "foo/bar is not a valid model ID"),
    ],
)
def test_what_everybody_is_told_in_the_words_of_a_bad_request_pauses_and_dead_letters_nothing(
    error_class: C, error_type: str | None, error_code: str | None, message: str
) -> None:
    assert classify(400, error_type, error_code, message) is error_class


def test_a_spent_budget_is_never_one_requests_own() -> None:
    assert not may_be_own(C.ACCOUNT, 400, "budget_exceeded", None, "Budget has been exceeded! Max budget: 10.0")
    assert not may_be_own(C.ACCOUNT, 403, None, None, "Key limit exceeded (monthly limit).")
