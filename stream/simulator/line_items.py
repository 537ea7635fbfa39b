"""The lines of an invoice or order: what, how many, at what price."""

# ruff: noqa: RUF001  (multiplication signs and dashes are what texts hold)

import re
from dataclasses import dataclass

from stream.simulator.figures import CODES, NUMBER, number_in

_MONEY = re.compile(rf"(?<![\w.,-])({NUMBER})(?![\w%]|[.,]\d)")
_NOT_AN_ITEM = re.compile(
    r"\b(?:sub-?total|total|summe|gesamt\w*|zwischensumme|end\w*summe|versandkosten|shipping"
    r"|vat|tax|mwst|ust|tva|iva|btw|gst|amount due|balance|due|paid|payable|nett?o?\w*|brutto\w*"
    r"|montant|importe|totale?|totaal|subtotaal|rechnungs\w*|invoice|iban|bic|account|konto|phone|tel|fax"
    r"|date|datum|\w*betrag|discount|rabatt)\b"
    r"|合計|小計|消費税|請求",
    re.IGNORECASE,
)
_QUANTITY_FIRST = re.compile(r"^[\s*•#-]*(\d{1,5})\s*(?:x|×|\*|pcs?\.?|stk\.?|st\.?|units?)\s+(?=\S)", re.IGNORECASE)
_TIMES_LAST = re.compile(r"\s[x×à]$")
_POSITION_FIRST = re.compile(r"^\s*\d{1,3}(?:[.)]\s+|\s{2,}(?=[^\W\d]))")
_QUANTITY_WORD = re.compile(
    r"(?<![\w.,])(\d{1,5}(?:[.,]\d)?)\s*(?:x\b|×|pcs?\b|pieces?\b|hours?\b|hrs?\b|h\b|days?\b|units?\b"
    r"|stk\b|stück\b|std\b|tage?\b|heures?\b|jours?\b|uds?\b|個|本|時間|months?\b|licen[cs]es?\b)",
    re.IGNORECASE,
)
_CURRENCY_MARK = re.compile(rf"[€$£¥₹円元]|\b(?:{'|'.join(CODES)})\b")
_EACH = re.compile(r"@|\beach\b|\bà\b|\bje\b|\bper\b|\bc/u\b", re.IGNORECASE)
_LINES_READ = 400
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class LineItem:
    """One line. quantity · unit_price = amount, as far as the line says so; what it doesn't say is computed."""

    description: str
    quantity: float
    unit_price: float
    amount: float


def _item(line: str) -> LineItem | None:
    if (
        len(line) > 200
        or not _DIGIT.search(line)
        or _NOT_AN_ITEM.search(line)
        or line.strip().endswith((".", "?", "!", ":"))
    ):
        return None
    line = _POSITION_FIRST.sub("", line)
    quantity: float | None = None
    if first := _QUANTITY_FIRST.match(line):
        quantity, line = float(first[1]), line[first.end() :]
    elif worded := _QUANTITY_WORD.search(line):
        quantity = number_in(worded[1])
        line = f"{line[: worded.start()]} | {line[worded.end() :]}"
    bare = _CURRENCY_MARK.sub(" ", line)
    numbers = _trailing_numbers(bare)
    is_money = bare != line or any(re.search(r"[.,]\d\d$", one[1]) for one in numbers)
    if not numbers or not is_money:
        return None
    description = re.sub(r"\s*\|\s*", " ", bare[: numbers[0].start()])
    description = _TIMES_LAST.sub("", description.strip()).strip(" \t\u3000,;:@=*•()-–—/#>")
    if not re.search(r"[^\W\d_]{2}|[\u3040-\u9fff]", description):
        return None
    return _worked_out(description, quantity, [number_in(one[1]) for one in numbers], bool(_EACH.search(line)))


def _trailing_numbers(line: str) -> list[re.Match[str]]:
    """The numbers at the end of a line with nothing but separators between them: at most quantity, price, amount."""
    numbers: list[re.Match[str]] = []
    end = len(line)
    for match in reversed(list(_MONEY.finditer(line))):
        if re.search(r"[^\W\d_]{3}", line[match.end() : end]) or len(numbers) == 3:
            break
        numbers.insert(0, match)
        end = match.start()
    return numbers


def _worked_out(description: str, quantity: float | None, numbers: list[float], each: bool) -> LineItem:
    if quantity is None and len(numbers) >= 2 and 0 < numbers[0] <= 1000:
        quantity, numbers = numbers[0], numbers[1:]
    quantity = quantity or 1.0
    if len(numbers) >= 2:
        return LineItem(description, quantity, numbers[0], numbers[-1])
    if each:
        return LineItem(description, quantity, numbers[0], round(quantity * numbers[0], 2))
    return LineItem(description, quantity, round(numbers[0] / quantity, 2), numbers[0])


def line_items_in(text: str) -> tuple[LineItem, ...]:
    """The lines that name something and a price, sums and headings left out; at most 50."""
    items = (_item(line) for line in text.splitlines()[:_LINES_READ])
    return tuple(item for item in items if item is not None)[:50]
