"""How a call of an AI provider fails: worth another attempt, or final.

``code`` is stable and ``detail`` is ours: what the vendor wrote goes to the log, never to the user.
"""

from ai_tasks.providers.base import Usage


class ProviderError(Exception):
    """A failed call; subclasses say whether trying again can help.

    ``usage`` is what it took all the same, if that is known: it is paid for.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.usage: Usage | None = None


class ProviderUnavailable(ProviderError):
    """Try again later: a limit, a time-out, a broken connection, an error of the provider's own.

    ``retry_after`` is how many seconds the provider asked to be left alone, if it said so.
    """

    def __init__(self, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class ProviderRefused(ProviderError):
    """The provider does not want this request, and would not want it a second time."""


class UnusableAnswer(ProviderError):
    """An answer came, but nothing can be made of it: unreadable, empty, too long."""
