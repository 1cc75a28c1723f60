"""A test client that sends its requests to what a server calls: fast reads in front, Django behind."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test.client import ClientHandler
from rest_framework.test import APIClient

from NoteAssist_AI.before_django import FastReadMiddleware
from NoteAssist_AI.loop_clients import LoopClients
from utils.event_loop import NeedsThread


class _Django:
    """The test client's handler as a WSGI application, whose answers stay responses, as the client wants them."""

    def __init__(self, handler: ClientHandler) -> None:
        self.handler = handler

    def __call__(self, environ: dict[str, Any], start_response: Any) -> HttpResponseBase:
        assert ServiceClient.has_django, "Django was asked."
        return self.handler(environ)

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if self.handler._middleware_chain is None:
            self.handler.load_middleware()
        return self.handler.get_response(request)


class _Service(FastReadMiddleware):
    @staticmethod
    def end_request() -> None:
        """The connection holds the test's transaction."""


class ServiceClient(APIClient):
    has_django = True
    """Without it a request that a fast read leaves to Django fails the test."""
    in_event_loop = False
    """Whether requests come in an event loop, as under Granian, which leaves to a thread what needs more than Redis."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        service = _Service(_Django(self.handler))

        def handle(environ: dict[str, Any]) -> HttpResponseBase:
            if not self.in_event_loop:
                return in_thread(environ)
            with event_loop() as (loop, clients):
                if found := loop.run_until_complete(service.respond_in_event_loop(environ, clients)):
                    status, headers, body = found
                    return as_response(environ, status, headers, body or b"")
                return in_thread(environ)

        def in_thread(environ: dict[str, Any]) -> HttpResponseBase:
            started: list[Any] = []
            answered = service(environ, lambda *start: started.extend(start))
            if isinstance(answered, HttpResponseBase):
                return answered
            status, headers = started
            return as_response(environ, int(status.split()[0]), headers, b"".join(answered))

        self.handler = handle


class _InTransaction(LoopClients):
    """Of a test whose data no other connection sees: its queries need the thread of the test."""

    def fetch(self, sql: str, params: Any) -> Any:
        raise NeedsThread


@contextmanager
def event_loop() -> Iterator[tuple[asyncio.AbstractEventLoop, LoopClients]]:
    """A loop that ends when all that it was given to do is done. It stands still while a "thread" answers."""
    loop = asyncio.new_event_loop()
    clients = _InTransaction(loop) if connection.in_atomic_block else LoopClients(loop)
    try:
        yield loop, clients
    finally:
        loop.run_until_complete(clients.close())
        loop.close()


def as_response(environ: dict[str, Any], status: int, headers: list[tuple[str, str]], body: bytes) -> HttpResponse:
    response = HttpResponse(body, status=status)
    del response["Content-Type"]  # which Django gives to every response
    for name, value in headers:
        assert name not in response, f"{name} is sent twice"
        response[name] = value
    response.wsgi_request = WSGIRequest(environ)
    return response
