"""The interface of a provider, and of the observer through which it reports to its caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypedDict

from notes.models import TEXT_MAX_BYTES

MAX_ANSWER_BYTES = TEXT_MAX_BYTES
"""An answer must fit into the topic that it may be written to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server, our key for it, and one of its models. Tasks record ``name`` as their provider."""

    name: str
    base_url: str
    api_key: str = field(repr=False)
    model: str


class Message(TypedDict):
    """One chat message; ``role`` is ``system``, ``user``, or ``assistant`` for what the model said before."""

    role: str
    content: str


class Source(TypedDict):
    """A note that an answer is based on."""

    title: str
    url: str


class Observer(Protocol):
    """How a running call reports to its caller, and learns that it must stop."""

    deadline: float
    """The ``time.monotonic()`` value after which the call must have ended."""

    def progress(self, percent: int, message: str, text: str = "") -> None:
        """Report the progress of the call, 0 to 100, and further text of the answer. Raises what ``check`` raises."""

    def delta(self, text: str) -> None:
        """Report further text of the answer."""

    def restart(self) -> None:
        """Discard the text reported so far: it was not part of the answer, which starts again."""

    def check(self) -> None:
        """Called at least once a second; raises when the call must stop. No ``except Exception`` catches what it
        raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens and the cost of a call.

    ``model`` is None offline. ``usage_estimated``: the provider gave no count, so the numbers are estimates. ``asked``
    names the provider. ``cost`` is in US dollars, None if no price is known.
    """

    model: str | None
    input_tokens: int
    output_tokens: int
    usage_estimated: bool
    asked: str = field(default="", compare=False)
    cost: Decimal | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion(Usage):
    """A complete answer: its text, at most ``MAX_ANSWER_BYTES``, without invalid characters or reasoning, and its
    usage."""

    text: str


class Provider(Protocol):
    """A client for one kind of model server: a module or an object."""

    def complete(
        self,
        messages: list[Message],
        observer: Observer,
        options: Mapping[str, Any] | None = None,
        *,
        endpoint: Endpoint | None = None,
    ) -> Completion:
        """Call the model and wait for the complete answer, reporting to ``observer`` meanwhile.

        ``endpoint``: the primary provider by default. ``options`` are further parameters of the request
        (``temperature``, ``max_tokens``, ``response_format``); those that the server does not accept are left out.

        Raises ``ProviderUnavailable``, ``ProviderRefused``, ``UnusableAnswer`` (with the incomplete text), and anything
        that ``observer.check`` raises. The connection is closed in every case. Thread-safe.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors of length 1, all of one dimension, and their usage. ``usage_estimated`` as in ``Usage``."""

    vectors: list[list[float]]
    dimension: int
    input_tokens: int
    usage_estimated: bool


class EmbeddingProvider(Protocol):
    """A client for one kind of embeddings server."""

    def embed(self, texts: Sequence[str], observer: Observer, *, endpoint: Endpoint) -> Embeddings:
        """Return one vector for each text, in order.

        Raises ``ProviderUnavailable``, ``ProviderRefused``, ``UnusableAnswer``, and anything that ``observer.check``
        raises. Thread-safe.
        """
