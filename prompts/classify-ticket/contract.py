"""A support ticket, and where it belongs.

Categories and priorities are closed lists, so that routing rules downstream can name every value there is.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def not_blank(text: str) -> str:
    """Raises ValueError for a text without a visible character: there is nothing to read, so nothing is paid."""
    if not text.strip():
        raise ValueError("the text is blank")
    return text


class Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Input(Contract):
    subject: str
    body: Annotated[str, AfterValidator(not_blank)]
    channel: Literal["email", "web", "chat", "phone", "social"]
    customer_tier: Literal["free", "standard", "premium", "enterprise"] | None = None


class Output(Contract):
    category: Literal["billing", "technical", "account", "shipping", "cancellation", "feedback", "legal", "other"]
    priority: Literal["low", "normal", "high", "urgent"]
    sentiment: Literal["positive", "neutral", "negative"]
    language: str = Field(pattern="^[a-z]{2}$", description="ISO 639-1 code of the ticket's main language, such as en")
    summary: str = Field(description="one English sentence of at most 30 words: who wants what, and why")
    product: str | None = Field(
        description="the product the ticket is about, as the customer calls it; null if none is named"
    )
    needs_human: bool = Field(description="true if an automatic answer could do harm")
