"""Traces by OpenTelemetry: request → task → provider. Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set.

Spans are sent over HTTP in the background. They contain fixed names, numbers and ids, and no text of users.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

IS_ON = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip())

_ERRORS_FROM = 500

if IS_ON:
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", "noteassist")
    _provider = TracerProvider(resource=Resource.create())
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=5)))
    trace.set_tracer_provider(_provider)
    _tracer = trace.get_tracer("noteassist")


class TracedApplication:
    """WSGI middleware: a span for each request, including fast reads."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        caller = propagate.extract({"traceparent": environ.get("HTTP_TRACEPARENT", "")})
        with _tracer.start_as_current_span("request", context=caller, kind=trace.SpanKind.SERVER):
            return self.application(environ, start_response)


def describe_request(*, method: str, route: str, status: int, request_id: str) -> None:
    """Add the request's attributes to the current span."""
    span = trace.get_current_span()
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "noteassist.request_id": request_id,
        }
    )
    if status >= _ERRORS_FROM:
        span.set_status(trace.StatusCode.ERROR)


def headers_of_message() -> dict[str, str]:
    """The headers of a message that make the worker's task a part of this trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def span(name: str, *, parent: Mapping[str, str] | None = None, **attributes: str | int) -> Iterator[None]:
    """A span around a piece of work. ``parent`` is a message's headers; without it, the current span is the parent.

    An exception marks it as failed; its message, which may quote a user, is not recorded.
    """
    if not IS_ON:
        yield
        return
    context = None if parent is None else propagate.extract(dict(parent))
    kind = trace.SpanKind.CLIENT if parent is None else trace.SpanKind.CONSUMER
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, record_exception=False, set_status_on_exception=False
    ) as current:
        current.set_attributes({f"noteassist.{key}": value for key, value in attributes.items()})
        try:
            yield
        except BaseException:
            current.set_status(trace.StatusCode.ERROR)
            raise
