"""What a provider's failure means: the classification table, as data.

`ROWS` is read from the top, the first row that applies decides. The provider's own words (`error.type`, `error.code`)
stand before statuses, because gateways and providers disagree about statuses, less about words. What no row names is
`transient`: other 5xx, redirects, 204, and status 200 with a body that is no reply.

`may_be_own` is the second question, for refusals that shut gates: whether one may concern a single request.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stream.core.errors import ErrorClass

_MONEY = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "*_spend_limit_*",
    "organization_usage_limit_exceeded",
    "enforced_spend_limit_reached",
    "organization_on_hold",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
)
_MONEY_WORD = r"(?:credits?|quota|balance|funds|budget)"
_ABOUT_MONEY = re.compile(
    rf"\b(?:(?:insufficient|not enough|out of|no|more|remaining|exceed\w*(?: \w+){{0,3}}) {_MONEY_WORD}"
    rf"|{_MONEY_WORD}(?: \w+){{0,3}} (?:exceeded|exhausted|depleted|low|empty|reached|insufficient)"
    r"|(?:credit|account) balance|limit exceeded|can only afford"
    r"|(?:spend|spending|usage|budget|credit|quota|billing) (?:hard )?limits?"
    r"|billing (?:details|account|is|not|issue)|payment (?:required|method|failed|is|overdue))\b"
)
"""Not single words: a filter's "credit card number detected" is about the text that it refuses."""

_KEY_PHRASES = (
    "api key not valid",
    "invalid api key",
    "incorrect api key",
    "api key expired",
    "expired api key",
    "organization has been disabled",
    "organization has been restricted",
    "account has been deactivated",
    "account is not active",
    "location is not supported",
    "budget has been exceeded",
    "api version not supported",
    "unsupported api version",
)
_MODEL_PHRASES = ("decommissioned", "invalid model name", "invalid model id", "not a valid model", "invalid model:")
_MAY_BE_OWN_STATUSES = frozenset({400, 403})
_TOO_LARGE = "request too large"
_ASKED = re.compile(r"limit:?\s*([\d,]{1,15})\b.{0,60}?\brequested:?\s*([\d,]{1,15})\b")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. It applies when each of its conditions that is given holds.

    words: globs; the error's type or code matches one of them.
    statuses: the HTTP status is among them.
    phrases: the error's message holds one of them, lower case.
    wordless: the answer named neither type nor code, as a gateway's HTML page.
    silent: the answer held no sentence either: nothing in it was meant for a client of the API.
    """

    error_class: ErrorClass
    words: tuple[str, ...] = ()
    statuses: Container[int] = ()
    phrases: tuple[str, ...] = ()
    wordless: bool = False
    silent: bool = False

    def applies(self, status: int | None, words: tuple[str, ...], message: str) -> bool:
        """Whether every condition that this row has holds."""
        if self.words and not any(fnmatchcase(word, glob) for word in words for glob in self.words):
            return False
        if self.statuses != () and status not in self.statuses:
            return False
        if (self.wordless and words) or (self.silent and message):
            return False
        return not self.phrases or any(phrase in message for phrase in self.phrases)


_CLIENT_ERRORS = range(400, 500)
_NOTHING_HERE = frozenset({404, 405, 407, 410, 421, 426})
"""Not found, method not allowed, proxy wants a login, gone, misdirected, upgrade required (RFC 9110): they are about
the address, not about what was asked there. No call of ours addresses anything but a model."""

ROWS: tuple[Row, ...] = (
    # A model we may not use comes as 403 or 404; the code says that it is about the model, not about the key.
    Row(ErrorClass.UNKNOWN_MODEL, words=("model_not_found",)),
    # Waiting doesn't cure these, a person does: they pause everything at this provider and dead-letter nothing.
    Row(
        ErrorClass.ACCOUNT,
        words=(*_MONEY, "authentication_error", "permission_error", "invalid_api_key"),
    ),
    Row(ErrorClass.OVERLOADED, words=("overloaded_error", "overloaded", "server_overloaded", "engine_overloaded")),
    Row(ErrorClass.RATE_LIMITED, words=("rate_limit_error", "rate_limit_exceeded")),
    Row(ErrorClass.BAD_REQUEST, words=("context_length_exceeded", "request_too_large", "content_policy_violation")),
    Row(ErrorClass.ACCOUNT, statuses={401, 402, 403}),
    # Anthropic tells these two in an ordinary `invalid_request_error`.
    Row(ErrorClass.ACCOUNT, statuses={400}, phrases=("usage limits", "credit balance is too low")),
    # What else is told to everybody in the words of a bad request: it would empty the topic into the DLQ.
    Row(ErrorClass.ACCOUNT, statuses={400}, phrases=_KEY_PHRASES),
    Row(ErrorClass.ACCOUNT, statuses={400}, words=("organization_restricted", "account_deactivated")),
    Row(ErrorClass.UNKNOWN_MODEL, statuses={400}, words=("model_decommissioned", "invalid_model", "unsupported_model")),
    Row(ErrorClass.UNKNOWN_MODEL, statuses={400}, phrases=_MODEL_PHRASES),
    # A wrong `base_url` or deployment must pause the flow, not empty it into the DLQ, whatever words it is told in.
    Row(ErrorClass.UNKNOWN_MODEL, statuses=_NOTHING_HERE),
    Row(ErrorClass.RATE_LIMITED, statuses={429}),
    Row(ErrorClass.OVERLOADED, statuses={503, 529}),
    Row(ErrorClass.TRANSIENT, statuses={408, 409, 425}),
    Row(ErrorClass.TRANSIENT, words=("api_error", "server_error", "timeout_error", "internal_server_error")),
    # About this request's size, whoever says so.
    Row(ErrorClass.BAD_REQUEST, statuses={413, 431}),
    # A gateway's page (plain HTTP sent to a TLS port, a CSRF check): all get it, or others get through (ADR 0003).
    Row(ErrorClass.TRANSIENT, statuses=_CLIENT_ERRORS, wordless=True, silent=True),
    Row(ErrorClass.BAD_REQUEST, statuses=_CLIENT_ERRORS),
    Row(ErrorClass.BAD_REQUEST, statuses={200}, words=("invalid_request_error",)),
)
"""The table of the design's section 6, with the words that both providers document."""


def classify(
    status: int | None,
    error_type: str | None = None,
    error_code: str | None = None,
    message: str = "",
) -> ErrorClass:
    """The class of a failed call.

    status: of the HTTP answer; None if there was none (then it is transient).
    error_type, error_code: the provider's own words for it (`error.type`, `error.code`), None where it gave none.
    message: the provider's sentence, in any case.
    """
    words = tuple(word.lower() for word in (error_type, error_code) if word)
    sentence = message.lower()
    for row in ROWS:
        if row.applies(status, words, sentence):
            return row.error_class
    return ErrorClass.TRANSIENT


def may_be_own(
    error_class: ErrorClass,
    status: int | None,
    error_type: str | None = None,
    error_code: str | None = None,
    message: str = "",
) -> bool:
    """Whether a refusal of a class that shuts gates may concern one request alone (ADR 0015). Parameters: `classify`.

    A firewall or a moderation in front of a model answers 403 or 404 to a text it doesn't like. Money is never one
    request's: a small credit serves small requests still, and refuses large ones. A 429 is one request's only if it
    says that the request by itself is more than the limit: others are told 429 by chance.
    """
    sentence = message.lower()
    if error_class is ErrorClass.UNKNOWN_MODEL:
        return True
    if error_class is ErrorClass.RATE_LIMITED:
        return _cannot_fit(sentence)
    words = tuple(word.lower() for word in (error_type, error_code) if word)
    money = Row(ErrorClass.ACCOUNT, words=_MONEY).applies(status, words, sentence) or _ABOUT_MONEY.search(sentence)
    return error_class is ErrorClass.ACCOUNT and status in _MAY_BE_OWN_STATUSES and not money


def _cannot_fit(sentence: str) -> bool:
    """Whether a 429 says that the request is larger than the whole limit: "Limit 10000, Requested 12000"."""
    asked = _ASKED.search(sentence)
    if asked is None:
        return _TOO_LARGE in sentence
    limit, requested = (int(number.replace(",", "") or 0) for number in asked.groups())
    return requested > limit > 0  # a limit of nothing is the account's
