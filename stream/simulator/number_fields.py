"""What a number field is about, by its name: where to look in the text, and what to make up if nothing is there.

`NUMBER_HINTS` is read from top to bottom; the first row whose pattern matches the field's name decides.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from stream.simulator.evidence import Evidence
from stream.simulator.figures import AmountFound, number_in
from stream.simulator.scene import Scene
from stream.simulator.wording import Choice

Find = Callable[[Scene], float | None]

_TOTAL = re.compile(
    r"total|amount due|balance|gesamt|summe|betrag|montant|importe|totaal|due|pay|合計|請求|zu zahlen|à payer"
)
_NET = re.compile(
    r"sub-?total|net\b|netto|zwischensumme|hors taxe|\bht\b|base imponible|imponibile|小計|before tax|excl"
)
_TAX = re.compile(r"\b(?:vat|tax|mwst|ust|umsatzsteuer|mehrwertsteuer|tva|iva|btw|gst|sales tax)\b|消費税")
_GRAND = re.compile(r"grand|amount due|gesamt|brutto|ttc|incl|to pay|zu zahlen|à payer|balance")
_SHIPPING = re.compile(r"shipping|freight|delivery|versand|livraison|envío|porto")
_DISCOUNT = re.compile(r"discount|rabatt|remise|descuento|sconto")
_FIRST_NUMBER = re.compile(r"(?<![\w.,/-])\d{1,9}(?:[.,]\d{1,2})?(?![\w/-])")
_MOOD = Choice(["positive", "negative", "neutral"])
_URGENCY = Choice(["urgent", "low"])
_TAX_SHARE = 0.19


@dataclass(frozen=True, slots=True)
class NumberHint:
    """One row: a pattern of field names, where to look, what to make up."""

    pattern: re.Pattern[str]
    find: Find
    invent: Callable[[Scene], float]


def _first_with(evidence: Evidence, wanted: re.Pattern[str], *unwanted: re.Pattern[str]) -> AmountFound | None:
    fitting = [
        amount
        for amount in evidence.amounts
        if wanted.search(amount.context) and not any(other.search(amount.context) for other in unwanted)
    ]
    return fitting[0] if fitting else None


def _total(scene: Scene) -> float | None:
    if scene.item:
        return scene.item.amount
    evidence = scene.evidence
    named = _first_with(evidence, _GRAND, _NET) or _first_with(evidence, _TOTAL, _NET, _TAX)
    if named:
        return named.value
    return max((amount.value for amount in evidence.amounts), default=None)


def _tax(scene: Scene) -> float | None:
    found = _first_with(scene.evidence, _TAX, _NET, _GRAND)
    return found.value if found else None


def _net(scene: Scene) -> float | None:
    found = _first_with(scene.evidence, _NET)
    if found:
        return found.value
    total, tax = _total(scene), _tax(scene)
    return round(total - tax, 2) if total is not None and tax is not None else None


def _labelled_amount(wanted: re.Pattern[str]) -> Find:
    def find(scene: Scene) -> float | None:
        found = _first_with(scene.evidence, wanted)
        return found.value if found else None

    return find


def _rate(scene: Scene) -> float | None:
    return scene.evidence.percentages[0] if scene.evidence.percentages else None


def _quantity(scene: Scene) -> float | None:
    if scene.item:
        return scene.item.quantity
    items = scene.evidence.line_items
    return items[0].quantity if items else None


def _unit_price(scene: Scene) -> float | None:
    if scene.item:
        return scene.item.unit_price
    items = scene.evidence.line_items
    return items[0].unit_price if items else None


def _before(words: str) -> Find:
    pattern = re.compile(rf"(\d{{1,6}})[ -]?(?:{words})", re.IGNORECASE)

    def find(scene: Scene) -> float | None:
        match = pattern.search(scene.evidence.text)
        return float(match[1]) if match else None

    return find


def _year(scene: Scene) -> float | None:
    return float(scene.evidence.dates[0].day.year) if scene.evidence.dates else None


def _line_count(scene: Scene) -> float | None:
    return float(len(scene.evidence.line_items)) or None


def _stars(scene: Scene) -> float:
    mood = _MOOD.chosen(scene.evidence, scene.seed, "stars")
    return {"positive": 5.0, "negative": 1.0}.get(mood, 3.0)


def _urgency(scene: Scene) -> float:
    ranked = _URGENCY.ranked(scene.evidence)
    return {"urgent": 1.0, "low": 4.0}.get(ranked[0], 3.0) if ranked else 3.0


def _confidence(scene: Scene) -> float:
    return round(0.72 + 0.26 * scene.fraction("confidence"), 2)


def first_number(scene: Scene) -> float | None:
    """The first plain number of the text."""
    match = _FIRST_NUMBER.search(scene.evidence.without_dates)
    return number_in(match[0]) if match else None


def _nothing(_scene: Scene) -> float | None:
    return None


def _hint(pattern: str, find: Find, invent: Callable[[Scene], float]) -> NumberHint:
    return NumberHint(re.compile(rf"\b(?:{pattern})\b"), find, invent)


NUMBER_HINTS: tuple[NumberHint, ...] = (
    _hint(r"confidence|score|probability|certainty|likelihood|relevance", _nothing, _confidence),
    _hint(r"rating|stars|satisfaction|nps", _nothing, _stars),
    _hint(r"priority|severity|urgency|level", _nothing, _urgency),
    _hint(r"(?:vat|tax) ?(?:rate|percent|percentage)|percent|percentage|rate", _rate, lambda _s: 19.0),
    _hint(r"discount", _labelled_amount(_DISCOUNT), lambda _s: 0.0),
    _hint(r"shipping|freight|delivery", _labelled_amount(_SHIPPING), lambda _s: 0.0),
    _hint(r"quantity|qty|units|pieces", _quantity, lambda _s: 1.0),
    _hint(r"(?:unit|item|net unit) ?(?:price|cost)|price|cost per unit", _unit_price, lambda s: s.invented_net),
    _hint(r"subtotal|sub total|net|net (?:total|amount)|total net", _net, lambda s: s.invented_net),
    _hint(
        r"vat|tax|gst|mwst|tva|iva|vat amount|tax (?:total|amount)",
        _tax,
        lambda s: round(s.invented_net * _TAX_SHARE, 2),
    ),
    _hint(
        r"total|amount|gross|due|balance|sum|cost|value|fee|charge|budget|paid",
        _total,
        lambda s: s.invented_net if s.item else round(s.invented_net + round(s.invented_net * _TAX_SHARE, 2), 2),
    ),
    _hint(r"days|terms", _before("days|tage|jours|días|dagen|giorni|日"), lambda _s: 30.0),
    _hint(r"hours?|minutes?|duration", _before("hours|hrs|h\\b|minutes|min\\b|stunden|heures|horas"), lambda _s: 2.0),
    _hint(r"year", _year, lambda _s: 2026.0),
    _hint(r"count|number of \w+|items|lines|total items", _line_count, lambda _s: 1.0),
)
