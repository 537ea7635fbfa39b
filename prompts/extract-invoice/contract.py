"""What an invoice's text goes in as, and what its figures come out as.

Amounts are JSON numbers in the invoice's currency (12.5 is twelve and a half euros, not cents). A JSON number is a
decimal: what the model writes as 1234.50 is published as 1234.5, never as 1234.4999…, because a 64-bit float keeps 15
significant digits and the bounds keep every amount with two decimals inside that. Where you add them up, read them as
decimals: `json.loads(value, parse_float=Decimal)`. Strings would need a pattern that not every provider's strict mode
knows, and minor units would have the model do arithmetic.

Every field is required and nullable: a model has to say "there is none", it can neither forget a field nor be driven to
make one up. A text that is no invoice at all comes back all null, which the `empty` check turns into a dead letter.
"""

from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def not_blank(text: str) -> str:
    """Raises ValueError for a text without a visible character: there is nothing to read, so nothing is paid."""
    if not text.strip():
        raise ValueError("the text is blank")
    return text


NotBlank = Annotated[str, AfterValidator(not_blank)]
Amount = Annotated[float, Field(ge=-1_000_000_000_000, le=1_000_000_000_000)]


class Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Input(Contract):
    document_text: NotBlank
    source_filename: str | None = None
    received_at: datetime | None = None


class LineItem(Contract):
    description: str
    quantity: Amount | None
    unit_price: Amount | None
    amount: Amount | None


class Output(Contract):
    vendor_name: str | None = Field(description="who sends the invoice and wants to be paid")
    invoice_number: str | None = Field(description="as printed")
    issue_date: date | None
    due_date: date | None = Field(description="null unless printed, or clear from printed payment terms")
    currency: str | None = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code, such as EUR")
    net_total: Amount | None = Field(description="before tax")
    tax_total: Amount | None
    gross_total: Amount | None = Field(description="tax included: what is to be paid")
    purchase_order: str | None = Field(description="the customer's order number")
    line_items: list[LineItem] = Field(description="in the printed order; empty if none are listed")
