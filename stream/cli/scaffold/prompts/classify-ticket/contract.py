"""What goes in and what must come out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Input(Contract):
    subject: str
    body: str


class Output(Contract):
    category: Literal["billing", "technical", "account", "shipping", "other"]
    urgent: bool
    summary: str = Field(description="one English sentence: who wants what, and why")
