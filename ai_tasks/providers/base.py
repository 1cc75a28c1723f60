"""What a provider promises, and what it may ask of its caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypedDict

from notes.models import TEXT_MAX_BYTES

MAX_ANSWER_BYTES = TEXT_MAX_BYTES
"""An answer must fit into the topic that it may be written to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Whom to ask: a server, our key there, and one of its models. ``name`` is what tasks record as their provider."""

    name: str
    base_url: str
    api_key: str = field(repr=False)
    model: str


class Message(TypedDict):
    """One chat message; ``role`` is ``system``, ``user``, or ``assistant`` for what the model said before."""

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

    def progress(self, percent: int, message: str, text: str = "") -> None:
        """Report the progress of the call, 0 to 100, and further text of the answer. Raises what ``check`` raises."""

    def delta(self, text: str) -> None:
        """Pass on more of the answer's text."""

    def restart(self) -> None:
        """Forget the text that was passed on: it was not the answer, which begins anew."""

    def check(self) -> None:
        """Called at least every second or so; raises, past all ``except Exception``, when the call must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call took. ``model`` is None offline; ``usage_estimated``: the provider gave no count, this is a guess.

    ``asked`` names the provider. ``cost`` is in US dollars; None where no price is known.
    """

    model: str | None
    input_tokens: int
    output_tokens: int
    usage_estimated: bool
    asked: str = field(default="", compare=False)
    cost: Decimal | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Usage):
    """A model's whole answer: clean text of at most ``MAX_ANSWER_BYTES``, free of thinking, and what it took."""

    text: str


class Provider(Protocol):
    """A module or object that asks one kind of model server."""

    def complete(
        self,
        messages: list[Message],
        observer: Observer,
        options: Mapping[str, Any] | None = None,
        *,
        endpoint: Endpoint | None = None,
    ) -> Completion:
        """Ask the model and wait for the whole answer, reporting to ``observer`` on the way.

        ``endpoint``: the provider of choice if left out.
        ``options`` are further parameters of the request (``temperature``, ``max_tokens``, ``response_format``);
        those that the server does not take are left out.

        Raises ``ProviderUnavailable``, ``ProviderRefused``, ``UnusableAnswer`` with what came of an answer that is not
        whole, and whatever ``observer.check`` raises; the connection is closed in every case. Safe to call from many
        threads.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of length 1, all of one dimension, and what they took. ``usage_estimated`` as in ``Usage``."""

    vectors: list[list[float]]
    dimension: int
    input_tokens: int
    usage_estimated: bool


class EmbeddingProvider(Protocol):
    """A module that asks one kind of server for vectors."""

    def embed(self, texts: Sequence[str], observer: Observer, *, endpoint: Endpoint) -> Embeddings:
        """A vector for each text, in their order.

        Raises ``ProviderUnavailable``, ``ProviderRefused``, ``UnusableAnswer``, and whatever ``observer.check`` raises.
        Safe to call from many threads.
        """
