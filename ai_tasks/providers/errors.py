"""How a call of an AI provider fails: worth another attempt, or final.

``code`` is stable and ``detail`` is ours: what the vendor wrote goes to the log, never to the user.
"""

from collections.abc import Mapping
from typing import Any

from ai_tasks.providers.base import Usage


class ProviderError(Exception):
    """A failed call; subclasses say whether trying again can help.

    ``usage`` is what it took all the same, if that is known: it is paid for. ``was_free``: the provider said no before
    any model began, or was not reached.
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
    """A temporary failure: a limit, a time-out, a broken connection, an error of the provider's own.

    ``retry_after`` is how many seconds the provider asked to be left alone, if it said so.
    """

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class ProviderRefused(ProviderError):
    """The provider does not want this request, and would not want it a second time."""


class UnusableAnswer(ProviderError):
    """An answer came, but it is no whole one that could be used: cut, refused, unreadable, empty, too long.

    ``text`` is what came of it, perhaps nothing. ``result`` is the same as its request type shows it, once that is
    known: kept and shown, never applied and never given again.
    """

    def __init__(self, code: str, detail: str, text: str = "") -> None:
        super().__init__(code, detail)
        self.text = text
        self.result: Mapping[str, Any] | None = None
