"""What a string field is about, by its name: where to look in the text, and what to make up if nothing is there.

`HINTS` is read from top to bottom; the first row whose pattern matches the field's name decides. Adding a row is all
it takes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from stream.simulator.scene import Scene
from stream.simulator.string_finders import (
    BIC,
    Find,
    address,
    code_after,
    customer,
    first_of,
    found_day,
    invented_date,
    labelled_value,
    person,
    postal,
    product,
    sentence,
    terms,
    title,
    vendor,
)
from stream.simulator.wording import Choice

Invent = Callable[[Scene], str]

_COMPANIES = (
    "Northwind Supplies Ltd",
    "Blue Harbor Logistics GmbH",
    "Alder & Finch LLC",
    "Copperfield Office AG",
    "Lakeside Hosting Inc.",
)
_PRODUCTS = ("Consulting services", "Cloud hosting, monthly", "Office supplies", "Maintenance contract")
_CITIES = ("Rotterdam", "Leipzig", "Bristol", "Lyon", "Porto")
_TEAMS = ("Support Desk", "Accounts Team", "Front Office")
_TOPIC = Choice(
    [
        "billing",
        "technical",
        "account",
        "shipping",
        "return",
        "cancellation",
        "feature",
        "complaint",
        "sales",
        "question",
    ]
)
_MOOD = Choice(["positive", "negative", "neutral"])
_URGENCY = Choice(["urgent", "high", "medium", "low"])
_INVOICE_LABELS = (
    "invoice number|invoice no|invoice|rechnungsnummer|rechnung nr|rechnung|facture|factura|fattura"
    "|factuurnummer|請求書番号"
)
_ORDER_LABELS = "order number|purchase order|order|po|bestellnummer|bestellung|commande|pedido|注文番号"
_CUSTOMER_LABELS = "customer number|customer id|customer|account|kundennummer"
_PROSE = (
    "reasons?|rationale|explanation|justification|evidence|quotes?|excerpt|snippet|summary|description of|abstract|gist"
    "|notes?|message|text|comments?|content|overview|details?|body|reply|response|answer|next step"
    "|action|recommendation"
)
_CODE_WORDS = "tracking|ticket|case|reference|ref|serial|sku|part|article|id|number|code|identifier"
_VENDOR_WORDS = "vendor|supplier|seller|merchant|issuer|biller|company|organi[sz]ation|business|firm|employer"
_TOPIC_WORDS = "category|topic|intent|department|team|queue|kind|type|class|labels?|tags?|topics|keywords?"
_PERSON_WORDS = "(?:\\w+ )?name|person|contact|author|sender|requester|agent|assignee|signer|participant"


@dataclass(frozen=True, slots=True)
class StringHint:
    """One row: a pattern of field names, where to look, what to make up. prose: whether it is a summary-like text."""

    pattern: re.Pattern[str]
    find: Find
    invent: Invent
    prose: bool = False


def _of(choices: tuple[str, ...]) -> Invent:
    return lambda scene: choices[scene.digest("of") % len(choices)]


def _number(form: str) -> Invent:
    return lambda scene: form.format(1000 + scene.digest("number") % 9000)


def _always(text: str) -> Invent:
    return lambda _scene: text


def _chosen(choice: Choice) -> Find:
    return lambda scene: str(choice.chosen(scene.evidence, scene.seed, "choice"))


def _nth(offer: Callable[[Scene], list[str]]) -> Find:
    return lambda scene: first_of(offer(scene), scene)


def _bic(scene: Scene) -> str | None:
    match = BIC.search(scene.evidence.text)
    return match[0] if match else None


def _hint(pattern: str, find: Find, invent: Invent, *, prose: bool = False) -> StringHint:
    return StringHint(re.compile(rf"\b(?:{pattern})\b"), find, invent, prose)


HINTS: tuple[StringHint, ...] = (
    _hint(r"e ?mails?|mail", _nth(lambda s: s.evidence.emails), _number("contact{}@example.com")),
    _hint(r"urls?|website|links?|homepage|uri", _nth(lambda s: s.evidence.urls), _always("https://www.example.com/")),
    _hint(r"phone|telephone|tel|mobile|fax", _nth(lambda s: s.evidence.phones), _number("+44 20 7946 {}")),
    _hint(r"iban|bank account|account number", _nth(lambda s: s.evidence.ibans), _number("DE8937040044053201{}")),
    _hint(r"bic|swift", _bic, _always("COBADEFFXXX")),
    _hint(
        r"(?:vat|tax|ust|tva)(?: ?(?:id|number|no|nr|registration))+|ustid|tax identifier",
        _nth(lambda s: s.evidence.vat_ids),
        _number("DE12345{}"),
    ),
    _hint(r"currency|currencies", lambda s: s.evidence.currency or None, _always("EUR")),
    _hint(r"languages?|locale|lang", lambda s: s.evidence.language, _always("en")),
    _hint(
        r"invoice(?: ?(?:number|no|nr|id|ref|reference|num))?|document number|bill number",
        code_after(_INVOICE_LABELS, "INV|RE|RG|FA|F-|R-"),
        _number("INV-2026-{}"),
    ),
    _hint(
        r"(?:purchase )?order(?: ?(?:number|no|nr|id|ref|reference))?|po|po number",
        code_after(_ORDER_LABELS, "PO|ORD|BE"),
        _number("PO-{}"),
    ),
    _hint(
        r"customer (?:number|id|no)|account id|client id", code_after(_CUSTOMER_LABELS, "C-|CUST|KD"), _number("C-{}")
    ),
    _hint(rf"(?:{_CODE_WORDS})(?: ?(?:number|no|id|code))?", _nth(lambda s: s.evidence.codes), _number("REF-{}")),
    _hint(r"zip|postal|postcode|zip code", postal(1), _number("1{}")),
    _hint(r"city|town|place", postal(2), _of(_CITIES)),
    _hint(r"country", lambda s: labelled_value(s.evidence, "country|land|pays|país"), _of(("Germany", "France"))),
    _hint(r"address|street|location", address, _number("{} Harbour Road")),
    _hint(r"(?:payment )?terms", terms, _always("Net 30")),
    _hint(r"date|day|deadline|due|issued|when", found_day, lambda s: invented_date(s, "date").isoformat()),
    _hint(_VENDOR_WORDS, vendor, _of(_COMPANIES)),
    _hint(r"customer|client|buyer|bill to|billed to|recipient|purchaser", customer, _of(_COMPANIES[::-1])),
    _hint(_PROSE, sentence, _always("The message is empty."), prose=True),
    _hint(r"title|subject|headline", title, _always("A short message")),
    _hint(r"product|item|description|article|service|goods|material", product, _of(_PRODUCTS)),
    _hint(r"sentiment|tone|mood|emotion", _chosen(_MOOD), _always("neutral")),
    _hint(r"priority|urgency|severity", _chosen(_URGENCY), _always("medium")),
    _hint(_TOPIC_WORDS, _chosen(_TOPIC), _always("question")),
    _hint(_PERSON_WORDS, person, _of(_TEAMS)),
)
