"""The cost of provider calls, by the prices of their models; rounded up."""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from django.conf import settings

from ai_tasks.money import DECIMAL_PLACES, ZERO
from ai_tasks.providers.base import Endpoint, Message, Usage

BYTES_PER_MESSAGE = 32
"""What a server may add to a message: its role and its delimiters."""
GO_ON_BYTES = 200
"""The prompt that asks a model to continue a truncated answer."""
_SMALLEST = Decimal(1).scaleb(-DECIMAL_PLACES)
_MILLION = 1_000_000


def has_price(model: str) -> bool:
    return model in settings.AI_PRICES


def price_of(model: str, *, input_tokens: int, output_tokens: int) -> Decimal | None:
    """The price of this many tokens; None for a model without a price."""
    price = settings.AI_PRICES.get(model)
    if price is None:
        return None
    dollars = (price.input * input_tokens + price.output * output_tokens) / _MILLION
    return dollars.quantize(_SMALLEST, rounding=ROUND_CEILING)


def greatest_cost(model: str, messages: Iterable[Message], *, more_bytes: int = 0) -> Decimal | None:
    """The maximum cost of an answer: ``AI_MAX_TOKENS``, and as many again for its continuation.

    The input is estimated from above, as no token is shorter than a byte; ``more_bytes`` may still be added to the
    messages. The continuation is sent the input and the first answer.
    """
    most = settings.AI_MAX_TOKENS
    sent = sum(len(message["content"].encode()) + BYTES_PER_MESSAGE for message in messages) + more_bytes
    again = sent + most + GO_ON_BYTES + 2 * BYTES_PER_MESSAGE
    return price_of(model, input_tokens=sent + again, output_tokens=2 * most)


def cost_of(endpoint: Endpoint, messages: Iterable[Message], usage: Usage | None, *, was_free: bool) -> Decimal | None:
    """The cost of a call; None for a model without a price.

    ``usage`` is what the provider counted. A call without a reported usage counts as its maximum cost.
    """
    if not has_price(endpoint.model):
        return None
    if usage is not None and not usage.usage_estimated:
        return price_of(endpoint.model, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    return ZERO if was_free else greatest_cost(endpoint.model, messages)
