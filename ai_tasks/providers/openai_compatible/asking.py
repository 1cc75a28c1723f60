"""One chat completion: sends the request, reads the answer as it arrives, and reports it to an observer."""

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
"""How long a server may take to close the connection after a complete answer."""
WAITING_PERCENT, WRITING_PERCENT, WRITTEN_PERCENT = 10, 15, 90

_OPEN_TO_OTHER_PARAMETERS = frozenset(
    {"provider_rejected", "provider_failed", "provider_misconfigured", "provider_model_unknown"}
)
"""Failures that may be caused by a parameter. Other codes are unambiguous, even if their text mentions a parameter."""


class _Reported(Exception):
    """The server reported an error, classified as ``failure``."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.failure = failure_of(report)
        super().__init__(self.failure.code)


class CleanText:
    """Removes what cannot be stored (NUL, lone surrogates) from a text that arrives in pieces.

    A server may split a surrogate pair between two chunks, so its first half waits for the second.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")(errors="replace")

    def add(self, chunk: str, *, final: bool = False) -> str:
        """Take one more chunk; return the text that is ready."""
        units = chunk.replace("\x00", "").encode("utf-16-le", "surrogatepass")
        return self._decoder.decode(units, final)


class Audience:
    """Reports a growing answer to the observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._percent = WAITING_PERCENT
        observer.progress(WAITING_PERCENT, "Waiting for the AI model")

    def restart(self) -> None:
        self._observer.restart()

    def show(self, text: str, length: int) -> None:
        # The length is unknown before the end. Most answers need a few percent of the limit, hence the fourth root.
        percent = WRITING_PERCENT + int((WRITTEN_PERCENT - WRITING_PERCENT) * (length / MAX_ANSWER_BYTES) ** 0.25)
        if percent > self._percent:
            self._percent = percent
            self._observer.progress(percent, "Writing the answer")
        self._observer.delta(text)


class Call:
    """One chat completion; ``ending`` and ``usage`` are known after ``ask``."""

    def __init__(self, messages: list[Message], options: dict[str, Any], endpoint: Endpoint) -> None:
        self.messages = messages
        self.options = options
        self.endpoint = endpoint
        self.model = endpoint.model
        self.ending = Ending()
        self.was_answered = False
        self._complaint: Report | None = None
        """A possible error; it counts only if the answer turns out to be incomplete."""
        self._bytes_written = 0
        """All that the model wrote, including its reasoning, which is paid for too."""

    def ask(self, observer: Observer, audience: Audience | None) -> str:
        """Return the text of the complete answer; raises like ``Provider.complete``. ``audience`` None: no reports."""
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
        """The usage that the provider reported, if it did."""
        return self.ending.usage(self.model)

    @property
    def usage(self) -> Usage:
        """The usage of the call: the provider's count, or an estimate."""
        return self.reported_usage or Usage(
            model=self.ending.model or self.model,
            input_tokens=sum(_tokens(len(message["content"].encode())) for message in self.messages),
            output_tokens=_tokens(self._bytes_written),
            usage_estimated=True,
        )

    @property
    def usage_if_failed(self) -> Usage | None:
        """The usage of a call that failed; None if nothing shows that it used anything."""
        return self.usage if self.ending.has_text else self.reported_usage

    def _connection_lost(self) -> ProviderUnavailable:
        if not self.was_answered:
            return ProviderUnavailable("provider_unreachable", "The AI provider cannot be reached.")
        return ProviderUnavailable("provider_connection_lost", "The AI provider's answer broke off.")

    def _ask(self, watch: Watch, text: "_VisibleText") -> None:
        """Send the request, and repeat it without each parameter that the server rejects."""
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
                logger.info("The AI server rejects the parameter %s; it is left out from now on.", name)
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
            if not self.ending.is_whole:  # otherwise the answer is complete already
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
                if not self.ending.is_whole:  # otherwise it is not part of the answer
                    raise


class _VisibleText:
    """The visible answer so far, cleaned, without reasoning, at most ``MAX_ANSWER_BYTES``; reported as it grows."""

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
        """Raises ``UnusableAnswer`` if the answer is too large, or restarts too often."""
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
