"""What the simulator answers: always valid for the schema, found in the text, the same for the same seed."""

import json
import time
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, TypeAdapter

from stream.simulator.ask import Ask, Form, Refused
from stream.simulator.composer import Composer


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Line(Strict):
    description: str
    quantity: float | None
    unit_price: float | None
    amount: float


class Invoice(Strict):
    vendor_name: Annotated[str, Field(min_length=1)]
    invoice_number: str
    issue_date: date
    due_date: date | None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    net_total: float | None
    tax_total: float | None
    gross_total: float
    purchase_order: str | None
    line_items: list[Line]


class Ticket(Strict):
    category: Literal["billing", "technical", "account", "shipping", "cancellation", "other"]
    priority: Literal["low", "normal", "high", "urgent"]
    sentiment: Literal["positive", "neutral", "negative"]
    language: Annotated[str, Field(pattern="^[a-z]{2}$")]
    summary: str
    product: str | None


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Bounds(Strict):
    score: Annotated[float, Field(gt=0, lt=1)]
    rating: Annotated[int, Field(ge=1, le=5)]
    step: Annotated[int, Field(multiple_of=7, ge=10, le=30)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{4}$")]
    other_code: Annotated[str, Field(pattern=r"^(?:foo|ba[rz])_[0-9a-f]{8}(\.\w+)?$")]
    short: Annotated[str, Field(max_length=5)]
    long: Annotated[str, Field(min_length=300, max_length=320)]
    one_letter: Annotated[str, Field(min_length=1, max_length=1)]
    negative: Annotated[float, Field(le=-5)]


class Formats(Strict):
    day: date
    at: datetime
    email: Annotated[str, Field(json_schema_extra={"format": "email"}, pattern="")]
    id: UUID
    homepage: AnyUrl
    amount_text: str
    flag: bool
    nothing: None
    anything: Any


class Tree(Strict):
    name: str
    children: "list[Tree]" = []
    parent: "Tree | None" = None


class Cat(Strict):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(Strict):
    kind: Literal["dog"]
    tricks: Annotated[list[str], Field(min_length=2, max_length=3)]


class Unions(Strict):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    number_or_text: int | str
    colours: Annotated[set[Colour], Field(min_length=2)]
    numbers: Annotated[set[int], Field(min_length=3)]
    pair: tuple[str, int]
    table: Annotated[dict[str, int], Field(min_length=2)]
    free: dict[str, Any]
    rows: Annotated[list[Line], Field(min_length=3, max_length=4)]
    optional: str = "x"


MODELS = [Invoice, Ticket, Bounds, Formats, Tree, Unions]

INVOICE = """INVOICE
Northwind Supplies Ltd
12 Harbour Road, Bristol BS1 4QA
Invoice No: INV-2026-0117
Invoice date: 12 March 2026
Due date: 11 April 2026
Bill to: Acme Retail GmbH
PO: 4500012345

Description            Qty   Unit price   Amount
A4 paper, 500 sheets   20    4.50         90.00
Desk lamp              3     39.90        119.70
Subtotal                                  209.70
VAT 20%                                    41.94
Total due                             GBP 251.64
"""
RECHNUNG = """Blauhafen Logistik GmbH
Hafenstraße 8, 20457 Hamburg
Rechnung Nr. RE-88123
Rechnungsdatum: 03.02.2026
Kunde: Muster Handels AG
Zahlbar bis 05.03.2026
1. Transport Hamburg nach Leipzig    1   1.250,00 €   1.250,00 €
2. Lagerung Februar             2     180,50 €     361,00 €
Nettobetrag 1.611,00 €
MwSt 19 % 306,09 €
Gesamtbetrag 1.917,09 €
"""


def asked(user: str, schema: Any = None, form: Form = "schema", system: str = "") -> Ask:
    return Ask("a-model", system, user, form, schema=schema)


def reply_to(user: str, model: type[BaseModel], *, seed: int = 0) -> Any:
    reply = Composer(seed).reply(asked(user, model.model_json_schema()))
    return model.model_validate_json(reply.text, strict=False)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("text", ["", "🙂", INVOICE, RECHNUNG, "x" * 3000, '{"a": [1, {"b": null}]}', "I have a cat."])
def test_a_reply_is_valid_for_its_schema(model: type[BaseModel], seed: int, text: str) -> None:
    assert reply_to(text, model, seed=seed) is not None


@settings(max_examples=60)
@given(st.text(max_size=400), st.integers())
def test_a_reply_is_valid_whatever_the_text(text: str, seed: int) -> None:
    for model in MODELS:
        reply_to(text.encode("utf-8", "replace").decode(), model, seed=seed)


def test_an_invoice_is_read_as_a_person_would() -> None:
    assert reply_to(f"<document>\n{INVOICE}</document>\nReport it.", Invoice) == Invoice(
        vendor_name="Northwind Supplies Ltd",
        invoice_number="INV-2026-0117",
        issue_date=date(2026, 3, 12),
        due_date=date(2026, 4, 11),
        currency="GBP",
        net_total=209.70,
        tax_total=41.94,
        gross_total=251.64,
        purchase_order="4500012345",
        line_items=[
            Line(description="A4 paper, 500 sheets", quantity=20, unit_price=4.5, amount=90),
            Line(description="Desk lamp", quantity=3, unit_price=39.9, amount=119.7),
        ],
    )


def test_german_figures_and_dates_are_read_as_german() -> None:
    invoice = reply_to(RECHNUNG, Invoice)
    assert (invoice.issue_date, invoice.due_date) == (date(2026, 2, 3), date(2026, 3, 5))
    assert (invoice.net_total, invoice.tax_total, invoice.gross_total) == (1611.0, 306.09, 1917.09)
    assert [line.amount for line in invoice.line_items] == [1250.0, 361.0]
    assert (invoice.currency, invoice.purchase_order) == ("EUR", None)


@pytest.mark.parametrize(
    ("text", "category", "sentiment", "language"),
    [
        ("I was charged twice for March, please refund me. This is unacceptable!", "billing", "negative", "en"),
        ("Die App stürzt seit dem Update mit einem Fehler ab, bitte um Hilfe.", "technical", "neutral", "de"),
        ("Je ne peux pas me connecter à mon compte, mot de passe perdu. Merci.", "account", "neutral", "fr"),
        ("Where is my parcel? The tracking shows nothing and I am still waiting.", "shipping", "negative", "en"),
        ("ログインできません。パスワードをリセットしてください。", "account", "neutral", "ja"),
        ("Thank you so much, great service!", "other", "positive", "en"),
    ],
)
def test_a_ticket_is_sorted_by_its_words(text: str, category: str, sentiment: str, language: str) -> None:
    ticket = reply_to(f"<subject>Help</subject>\n<body>\n{text}\n</body>", Ticket)
    assert (ticket.category, ticket.sentiment, ticket.language) == (category, sentiment, language)
    assert ticket.summary.rstrip(".") in text


def test_the_same_seed_gives_the_same_reply_and_another_seed_another() -> None:
    replies = {seed: Composer(seed).reply(asked("", Invoice.model_json_schema())).text for seed in range(20)}
    again = {seed: Composer(seed).reply(asked("", Invoice.model_json_schema())).text for seed in range(20)}
    assert replies == again
    assert len(set(replies.values())) > 15


def test_replies_hold_no_placeholders_even_where_the_text_says_nothing() -> None:
    for model in (Invoice, Ticket, Formats):
        text = Composer(0).reply(asked("", model.model_json_schema())).text
        for word in ("N/A", "unknown", "TBD", "lorem", "string", "None", "not specified"):
            assert word not in text


def test_a_filler_takes_the_place_of_free_strings_only() -> None:
    reply = Composer(0).reply(asked(INVOICE, Invoice.model_json_schema()), filler="N/A")
    invoice = Invoice.model_validate_json(reply.text)
    assert invoice.vendor_name == "N/A"
    assert (invoice.currency, invoice.gross_total) == ("GBP", 251.64)


def test_instructions_around_the_event_are_not_taken_for_the_event() -> None:
    user = f"Never bill someone@example.org.\n<document>\n{INVOICE}accounts@example.com\n</document>\nReport it."
    schema = {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]}
    assert json.loads(Composer(0).reply(asked(user, schema)).text) == {"email": "accounts@example.com"}


@pytest.mark.parametrize(
    "system",
    [
        "Answer with JSON for this schema: " + json.dumps(Ticket.model_json_schema()),
        'Answer like this: {"category": "billing|technical", "summary": "what is wrong"}',
        "Answer with a JSON object with the keys `category`, `summary`.",
        "Answer as a JSON object:\n- category: where it belongs\n- summary: one sentence\n",
    ],
)
def test_a_json_object_has_the_fields_that_the_instructions_name(system: str) -> None:
    reply = json.loads(Composer(0).reply(asked("The app crashes with an error.", form="object", system=system)).text)
    assert reply["category"] == "technical"
    assert {"category", "summary"} <= set(reply)


def test_a_text_reply_is_a_sentence_unless_the_instructions_hold_a_schema() -> None:
    composer = Composer(0)
    plain = composer.reply(asked("Hello, the printer on floor 3 is on fire. Help.", form="text", system="Summarise."))
    assert plain.text == "the printer on floor 3 is on fire."
    system = f"Reply with JSON only: {json.dumps(Ticket.model_json_schema())}"
    Ticket.model_validate_json(composer.reply(asked("The printer is on fire.", form="text", system=system)).text)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}},
        {"type": "objekt"},
        {"type": "object", "properties": {"a": 5}},
        {"type": "string", "maxLength": "ten"},
    ],
)
def test_a_schema_that_is_none_or_never_ends_is_refused(schema: Any) -> None:
    with pytest.raises(Refused, match="JSON Schema"):
        Composer(0).reply(asked("text", schema))


@pytest.mark.parametrize(
    ("schema", "adapter"),
    [
        ({"allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"const": 2}}, "required": ["b"]}], "$defs": {"a": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}, TypeAdapter(dict[str, int])),  # noqa: E501
        ({"type": ["integer", "null"]}, TypeAdapter(int | None)),
        ({"enum": [3]}, TypeAdapter(Literal[3])),
        ({"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True}, TypeAdapter(Annotated[set[str], Field(min_length=4)])),  # noqa: E501
        ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, TypeAdapter(bool | None)),
        ({"type": "string", "pattern": "(?<bad"}, TypeAdapter(str)),
    ],
)  # fmt: skip
def test_schemas_that_pydantic_does_not_write_are_understood_too(schema: Any, adapter: TypeAdapter[Any]) -> None:
    adapter.validate_json(Composer(0).reply(asked("Some text with 3 words.", schema)).text)


@pytest.mark.parametrize(
    "text",
    ["1" * 50_000, "A1-" * 17_000, "Abc " * 12_000, "<a>\n" * 12_000, "€ 1" * 17_000, "regards\n" + "\n" * 50_000],
    ids=["digits", "codes", "names", "tags", "amounts", "newlines"],
)
def test_nasty_texts_take_no_longer_than_others(text: str) -> None:
    started = time.process_time()
    reply_to(f"<document>\n{text}\n</document>", Invoice)
    assert time.process_time() - started < 1.0
