"""One chat completion: requested, read as it arrives, and reported to its observer."""

import codecs
import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx2

from ai_tasks.providers.base import MAX_ANSWER_BYTES, Endpoint, Message, Observer, Usage
from ai_tasks.providers.errors import ProviderUnavailable, UnusableAnswer
from ai_tasks.providers.openai_compatible import parameters
from ai_tasks.providers.openai_compatible.failures import failure_of
from ai_tasks.providers.openai_compatible.frames import frames
from ai_tasks.providers.openai_compatible.http import error_body, send, translated_failures
from ai_tasks.providers.openai_compatible.reading import Ending, is_error, may_be_error, read_answer
from ai_tasks.providers.openai_compatible.reports import Report, report_in, report_of
from ai_tasks.providers.openai_compatible.thinking import ThinkingFilter
from ai_tasks.providers.openai_compatible.transport import UNREADABLE, Watch, observed_by

logger = logging.getLogger(__name__)

BYTES_PER_TOKEN = 4
MAX_RESTARTS = 50
LINGER_SECONDS = 5.0
"""How long a server may take to close an answer that is whole already."""
WAITING_PERCENT, WRITING_PERCENT, WRITTEN_PERCENT = 10, 15, 90

_OPEN_TO_OTHER_PARAMETERS = frozenset(
    {"provider_rejected", "provider_failed", "provider_misconfigured", "provider_model_unknown"}
)
"""Failures that may be about a parameter. The others say plainly what they are about, and may name one in passing."""


class _Reported(Exception):
    """The server reported a failure, classified as ``failure``."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.failure = failure_of(report)
        super().__init__(self.failure.code)


class CleanText:
    """Frees a text of what cannot be stored, NUL and lone surrogates, piece by piece.

    Servers may cut a surrogate pair in two between chunks, so its first half waits for the second.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")(errors="replace")

    def add(self, chunk: str, *, final: bool = False) -> str:
        """Take one more chunk and return what of it is ready."""
        units = chunk.replace("\x00", "").encode("utf-16-le", "surrogatepass")
        return self._decoder.decode(units, final)


class Audience:
    """Passes an answer on to the observer as it grows."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._percent = WAITING_PERCENT
        observer.progress(WAITING_PERCENT, "Waiting for the AI model")

    def restart(self) -> None:
        self._observer.restart()

    def show(self, text: str, length: int) -> None:
        # Nobody knows the length of an answer before its end; most take a few percent of the limit.
        percent = WRITING_PERCENT + int((WRITTEN_PERCENT - WRITING_PERCENT) * (length / MAX_ANSWER_BYTES) ** 0.25)
        if percent > self._percent:
            self._percent = percent
            self._observer.progress(percent, "Writing the answer")
        self._observer.delta(text)


class Call:
    """One request for a chat completion; its ``ending`` and ``usage`` are known once it was asked for."""

    def __init__(self, messages: list[Message], options: dict[str, Any], endpoint: Endpoint) -> None:
        self.messages = messages
        self.options = options
        self.endpoint = endpoint
        self.model = endpoint.model
        self.ending = Ending()
        self.was_answered = False
        self._complaint: Report | None = None
        """What may have been an error, if the answer turns out not to be whole."""
        self._bytes_written = 0
        """Of everything that the model wrote, thinking included: it is paid for."""

    def ask(self, observer: Observer, audience: Audience | None) -> str:
        """The text of the whole answer. Raises what ``Provider.complete`` does; without an audience nobody is told."""
        text = _VisibleText(audience)
        with observed_by(observer) as watch, translated_failures(self._connection_lost):
            try:
                self._ask(watch, text)
                text.finish()
            except UnusableAnswer as error:
                error.text = error.text or text.so_far
                raise
        shortfall = self.ending.shortfall(text.so_far)
        if shortfall:
            logger.warning("The AI model's answer is incomplete: %s (%.50r)", shortfall.code, self.ending.finish_reason)
            raise shortfall
        return text.so_far

    @property
    def reported_usage(self) -> Usage | None:
        """What the provider says that the call took, if it does."""
        return self.ending.usage(self.model)

    @property
    def usage(self) -> Usage:
        """What the call took: the provider's count, else a guess."""
        return self.reported_usage or Usage(
            model=self.ending.model or self.model,
            input_tokens=sum(_tokens(len(message["content"].encode())) for message in self.messages),
            output_tokens=_tokens(self._bytes_written),
            usage_estimated=True,
        )

    @property
    def usage_if_failed(self) -> Usage | None:
        """What a call took that brought no whole answer; None if nothing tells that it took anything."""
        return self.usage if self.ending.has_text else self.reported_usage

    def _connection_lost(self) -> ProviderUnavailable:
        if not self.was_answered:
            return ProviderUnavailable("provider_unreachable", "The AI provider cannot be reached.")
        return ProviderUnavailable("provider_connection_lost", "The AI provider's answer broke off.")

    def _ask(self, watch: Watch, text: "_VisibleText") -> None:
        """Ask, and ask again without each parameter that the server refuses."""
        server = (self.endpoint.base_url, self.model)
        options = {"stream": True, "stream_options": {"include_usage": True}, **self.options}
        while True:
            body = {"model": self.model, "messages": self.messages, **parameters.fitting(options, server)}
            try:
                with closing(send(self.endpoint, body)) as response:
                    self._read(response, watch, text)
            except _Reported as reported:
                name = None
                if reported.failure.code in _OPEN_TO_OTHER_PARAMETERS and not self.ending.has_text:
                    name = parameters.refused_parameter(reported.report, body)
                if name is None:
                    logger.warning("The AI provider answered %s.", reported.report.for_the_log)
                    reported.failure.was_free = not self._bytes_written
                    raise reported.failure from None
                logger.info("The AI server takes no %s: it is asked without it from now on.", name)
                parameters.remember(name, server)
            else:
                return

    def _read(self, response: httpx2.Response, watch: Watch, text: "_VisibleText") -> None:
        if not response.is_success:
            raise _Reported(report_of(response, error_body(response)))
        self.was_answered = True
        try:
            for piece in self._pieces(response):
                watch.observer.check()
                self._bytes_written += len(piece.encode(errors="replace"))
                text.add(piece)
                if self.ending.is_whole:
                    watch.patience = LINGER_SECONDS
        except httpx2.TransportError:
            if not self.ending.is_whole:  # else nothing is missing but the farewell
                raise
        if self._complaint and not self.ending.is_whole:
            raise _Reported(self._complaint)

    def _pieces(self, response: httpx2.Response) -> Iterator[str]:
        with closing(frames(response)) as documents:
            try:
                for frame in documents:
                    if frame.is_error or is_error(frame.document):
                        if self.ending.is_whole:
                            return
                        raise _Reported(report_in(frame.document, response.headers))
                    if may_be_error(frame.document):
                        self._complaint = report_in(frame.document, response.headers)
                    elif frame.is_done:
                        self.ending.is_done = True
                    else:
                        yield read_answer(frame.document, self.ending, is_whole=frame.is_whole)
                        self.ending.is_done = self.ending.is_done or frame.is_whole
            except UnusableAnswer:
                if not self.ending.is_whole:  # else it is no part of the answer
                    raise


class _VisibleText:
    """The answer so far, reported as it grows: clean, without thinking, of at most ``MAX_ANSWER_BYTES``."""

    def __init__(self, audience: Audience | None) -> None:
        self._audience = audience
        self._clean = CleanText()
        self._thinking = ThinkingFilter()
        self._parts: list[str] = []
        self._bytes = 0
        self._restarts = 0

    @property
    def so_far(self) -> str:
        return "".join(self._parts)

    def finish(self) -> None:
        self.add("", final=True)

    def add(self, piece: str, *, final: bool = False) -> None:
        """Raises ``UnusableAnswer``, too large or restarted without end."""
        shown = self._thinking.feed(self._clean.add(piece, final=final), final=final)
        if shown.restart:
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                raise UnusableAnswer("answer_unreadable", UNREADABLE)
            self._parts, self._bytes = [], 0
            if self._audience:
                self._audience.restart()
        if not shown.text:
            return
        self._bytes += len(shown.text.encode())
        if self._bytes > MAX_ANSWER_BYTES:
            raise UnusableAnswer("answer_too_large", f"The answer is longer than {MAX_ANSWER_BYTES} bytes.")
        self._parts.append(shown.text)
        if self._audience:
            self._audience.show(shown.text, self._bytes)


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
