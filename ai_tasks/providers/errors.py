"""The failures of a provider call: temporary or final.

``code`` is stable and ``detail`` is our own text. The vendor's text goes to the log, never to the user.
"""

from collections.abc import Mapping
from typing import Any

from ai_tasks.providers.base import Usage


class ProviderError(Exception):
    """A failed call; the subclass says whether a retry can help.

    ``usage`` is the usage of the failed call if known, since it costs money too. ``was_free``: the provider refused
    before a model started, or could not be reached.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.usage: Usage | None = None
        self.was_free = False

    @property
    def is_paid_for(self) -> bool:
        return self.usage is not None and bool(self.usage.cost)


class ProviderUnavailable(ProviderError):
    """A temporary failure: a rate limit, a time-out, a broken connection, or an error of the provider.

    ``retry_after`` is the number of seconds that the provider asked us to wait, if it did.
    """

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class ProviderRefused(ProviderError):
    """The provider refuses this request, and would refuse it again."""


class UnusableAnswer(ProviderError):
    """An answer arrived but cannot be used: it is cut, refused, unreadable, empty or too long.

    ``text`` is the part that arrived, perhaps empty. ``result`` is that part in the shape of its request type, once
    known. It is stored and shown, but never applied to a note and never served for another request.
    """

    def __init__(self, code: str, detail: str, text: str = "") -> None:
        super().__init__(code, detail)
        self.text = text
        self.result: Mapping[str, Any] | None = None
