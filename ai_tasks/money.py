"""Amounts of US dollars, to a millionth."""

from decimal import Decimal
from typing import TypedDict

CURRENCY = "USD"
DECIMAL_PLACES = 6
MAX_DIGITS = 16
ZERO = Decimal(0)


class Money(TypedDict):
    amount: str
    currency: str


def shown(amount: Decimal) -> Money:
    return {"amount": f"{amount:.{DECIMAL_PLACES}f}", "currency": CURRENCY}
