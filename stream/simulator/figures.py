"""Dates, amounts and currencies as people write them, found in text. Pure; linear in the text's length."""

# ruff: noqa: RUF001  (full-width and Cyrillic signs are what texts hold)

import re
from dataclasses import dataclass
from datetime import date

_MONTHS: dict[str, int] = {
    name: month
    for month, names in enumerate(
        (
            "jan january januar janvier enero gennaio januari",
            "feb february februar février fevrier febrero febbraio februari",
            "mar march märz maerz mars marzo maart",
            "apr april avril abril aprile",
            "may mai mayo maggio mei",
            "jun june juni juin junio giugno",
            "jul july juli juillet julio luglio",
            "aug august août aout agosto augustus",
            "sep sept september septembre septiembre settembre",
            "oct october oktober octobre octubre ottobre",
            "nov november novembre noviembre",
            "dec december dezember décembre decembre diciembre dicembre",
        ),
        start=1,
    )
    for name in names.split()
}
_CONTEXT_CHARS = 48
_ISO = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/年](\d{1,2})[-/月](\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<![\d.,])(\d{1,2})([./-])(\d{1,2})\2((?:19|20)\d\d)(?!\d)")
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|\.|º)?\s+(?:de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+)?((?:19|20)\d\d)\b"
)
_MONTH_FIRST = re.compile(r"\b([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+((?:19|20)\d\d)\b")

SYMBOLS = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "zł": "PLN",
    "円": "JPY",
    "元": "CNY",
    "₩": "KRW",
    "₺": "TRY",
    "₽": "RUB",
    "руб": "RUB",
    "₴": "UAH",
}
_CODES = (
    "USD EUR GBP CHF JPY CNY SEK NOK DKK PLN CZK HUF RON BGN CAD AUD NZD INR IDR THB MYR PHP VND SGD HKD KRW TWD"
    " BRL MXN ARS CLP COP ZAR EGP MAD TRY ILS AED SAR QAR RUB UAH"
)
CODES = tuple(_CODES.split())
"""Currencies by ISO code."""
_CURRENCY = rf"(?:[€$£¥₹₩₺₽₴円元]|zł|руб|\b(?:{'|'.join(CODES)})\b)"
_CURRENCY_ONLY = re.compile(_CURRENCY)
NUMBER = (
    r"-?(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+,\d\d"
    r"|\d{1,3}(?:[.,'\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?"
    r"|\d{1,12}(?:[.,]\d{1,2})?)(?!\d)"
)
"""A number as people write it; a space between thousands only where a comma and two decimals follow."""
_AMOUNT = re.compile(
    rf"(?P<before>{_CURRENCY})?[ \t]?(?<![\w.,-])(?P<number>{NUMBER})"
    rf"(?![.,]?\d|[ \t]?%)[ \t]?(?P<after>{_CURRENCY})?"
)
_PERCENT = re.compile(r"(?<![\d.,])(\d{1,3}(?:[.,]\d{1,2})?)[ \u00a0]?%")


@dataclass(frozen=True, slots=True)
class DateFound:
    """A date, and the text before it on its line, in lower case."""

    day: date
    context: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AmountFound:
    """An amount of money. currency: ISO code, empty if none is beside it.

    context: the text before it on its line, from the amount before on.
    """

    value: float
    currency: str
    context: str
    start: int


def context_before(text: str, start: int, *, not_before: int = 0) -> str:
    """What stands before `start` on the same line, lower case, at most 48 characters."""
    first = max(not_before, start - _CONTEXT_CHARS)
    return text[max(text.rfind("\n", first, start) + 1, first) : start].lower()


def _day(year: str, month: int | str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def dates_in(text: str) -> tuple[DateFound, ...]:
    """Every date, in the text's order. 03/04/2026 is read day first unless dollars or the numbers say otherwise."""
    american = "$" in text or "USD" in text
    found = [(_day(match[1], match[2], match[3]), match) for match in _ISO.finditer(text)]
    for match in _NUMERIC.finditer(text):
        first, second = int(match[1]), int(match[3])
        month_first = second > 12 or (american and match[2] == "/" and first <= 12)
        found.append((_day(match[4], *((first, match[3]) if month_first else (second, match[1]))), match))
    found += [
        (_day(match[3], _MONTHS.get(match[2].lower(), 0), match[1]), match) for match in _DAY_FIRST.finditer(text)
    ]
    found += [
        (_day(match[3], _MONTHS.get(match[1].lower(), 0), match[2]), match) for match in _MONTH_FIRST.finditer(text)
    ]
    dates = [DateFound(day, context_before(text, m.start()), m.start(), m.end()) for day, m in found if day]
    return tuple(sorted(dates, key=lambda one: one.start))


def number_in(text: str) -> float:
    """`1.234,56`, `1,234.56`, `1 234,56`, `1'234.5`, `1234` as a number: one or two last digits are decimals."""
    digits = re.sub(r"['\u00a0\u202f ]", "", text)
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0 and len(digits) - last - 1 <= 2:
        whole, decimals = digits[:last], digits[last + 1 :]
        return float(re.sub(r"[.,]", "", whole) + "." + decimals)
    return float(re.sub(r"[.,]", "", digits))


def _code(symbol: str | None) -> str:
    return SYMBOLS.get(symbol, symbol) if symbol else ""


def amounts_in(text: str) -> tuple[AmountFound, ...]:
    """Every number that is money: it has a currency beside it, or two decimals. Dates must have been blanked out."""
    amounts = []
    previous_end = 0
    for match in _AMOUNT.finditer(text):
        number, currency = match["number"], _code(match["before"] or match["after"])
        if currency or re.search(r"[.,]\d\d$", number):
            context = context_before(text, match.start("number"), not_before=previous_end)
            amounts.append(AmountFound(number_in(number), currency, context, match.start()))
            previous_end = match.end()
    return tuple(amounts)


def currency_in(text: str) -> str:
    """The first currency named, as ISO code; empty if none is."""
    match = _CURRENCY_ONLY.search(text)
    return _code(match[0]) if match else ""


def percentages_in(text: str) -> tuple[float, ...]:
    """Numbers followed by %."""
    return tuple(number_in(match[1]) for match in _PERCENT.finditer(text))
