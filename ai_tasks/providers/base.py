"""What a provider promises, and what it may ask of its caller."""

from dataclasses import dataclass
from typing import Protocol, TypedDict

from notes.models import TEXT_MAX_BYTES

MAX_ANSWER_BYTES = TEXT_MAX_BYTES
"""An answer must fit into the topic that it may be written to."""


class Message(TypedDict):
    """One chat message; ``role`` is ``system`` or ``user``."""

    role: str
    content: str


class Source(TypedDict):
    """What an answer rests on."""

    title: str
    url: str


class Observer(Protocol):
    """The caller's end of a running call."""

    deadline: float
    """The ``time.monotonic()`` value after which the call must have ended."""

    def progress(self, percent: int, message: str) -> None:
        """Tell how far the call is, 0 to 100."""

    def delta(self, text: str) -> None:
        """Pass on more of the answer's text."""

    def check(self) -> None:
        """Called at least every second or so; raises, past all ``except Exception``, when the call must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call took. ``model`` is None offline; ``usage_estimated``: the provider gave no count, this is a guess."""

    model: str | None
    input_tokens: int
    output_tokens: int
    usage_estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Usage):
    """A model's whole answer: clean text of at most ``MAX_ANSWER_BYTES``, and what it took.

    ``truncated``: the model reached its length limit before its end.
    """

    text: str
    truncated: bool


class Provider(Protocol):
    """A module or object that asks one kind of model server."""

    def complete(self, messages: list[Message], observer: Observer) -> Completion:
        """Ask the model and wait for the whole answer, reporting to ``observer`` on the way.

        Raises ``ProviderUnavailable``, ``ProviderRefused``, ``UnusableAnswer``, and whatever ``observer.check`` raises;
        the connection is closed in every case. Safe to call from many threads.
        """
