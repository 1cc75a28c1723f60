"""Light fast reads in an event loop, with connections of its own: what a thread would answer."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import RequestFactory

from NoteAssist_AI.before_django import FastReadMiddleware
from NoteAssist_AI.loop_clients import LoopClients
from notes.models import Note
from notes.reads import LIGHT_BYTES
from notifications.services import create
from tests.accounts.helpers import TARGETS
from tests.conftest import client_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.service_client import event_loop

pytestmark = pytest.mark.django_db(transaction=True)


def service() -> FastReadMiddleware:
    return FastReadMiddleware(WSGIHandler())


LIGHT = ("list", "pending", "detail", "task")


@pytest.mark.parametrize("name", TARGETS)
def test_light_reads_are_answered_as_by_threads(alice, targets, name):
    """Each first with an unknown session and no page in the cache, then from Redis."""
    Note.objects.update(size_bytes=1000)  # a note whose size is not known yet is taken for a large one
    client, target = client_of(alice), targets[name]
    answered = []
    with event_loop() as (loop, clients):
        for _ in range(2):
            environ = RequestFactory().get(target, **client._credentials, HTTP_X_REQUEST_ID="mine").environ
            found = loop.run_until_complete(service().respond_in_event_loop(environ, clients))
            answered.append(None if found is None else (found[0], dict(found[1]), found[2]))
    client.in_event_loop = False
    by_thread = client.get(target, HTTP_X_REQUEST_ID="mine")

    if name not in LIGHT:
        assert answered == [None, None]
        return
    expected = without_limits(by_thread.items())
    remaining = int(by_thread["RateLimit-Remaining"])
    for number, (status, headers, content) in enumerate(answered):
        assert (status, content) == (200, by_thread.content)
        assert int(headers["RateLimit-Remaining"]) == remaining + 2 - number
        assert without_limits(headers.items()) == expected


def without_limits(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if not name.startswith("RateLimit")}


@pytest.mark.parametrize("target", ["/api/notes/?search=loops", "/api/notes/?colour=red"])
def test_what_takes_long_or_is_wrong_is_left_to_a_thread(alice, targets, target):
    environ = RequestFactory().get(target, **client_of(alice)._credentials).environ

    with event_loop() as (loop, clients):
        found = loop.run_until_complete(service().respond_in_event_loop(environ, clients))

    assert found is None


def test_a_renderer_that_uses_djangos_connection_needs_a_thread(alice, targets, alice_client):
    """The inbox lacks its marker of completeness, and has an entry whose row is looked up by the ORM."""
    create(user_id=alice.pk, title="New", message="Of a note")
    alice_client.get(targets["list"])
    environ = RequestFactory().get(targets["pending"], **alice_client._credentials).environ

    with event_loop() as (loop, clients):
        found = loop.run_until_complete(service().respond_in_event_loop(environ, clients))

    assert found is None
    assert alice_client.get(targets["pending"]).json()["count"] == 1


@pytest.mark.parametrize(("extra", "is_light"), [(0, True), (1, False)])
def test_a_note_that_takes_long_to_render_needs_a_thread(alice, alice_client, extra, is_light):
    note = NoteFactory(user=alice, title="Long")
    topic = TopicFactory(chapter=ChapterFactory(note=note))
    Note.objects.filter(pk=note.pk).update(size_bytes=LIGHT_BYTES + extra)
    target = f"/api/notes/{note.pk}/"
    environ = RequestFactory().get(target, **alice_client._credentials).environ

    with event_loop() as (loop, clients):
        found = loop.run_until_complete(service().respond_in_event_loop(environ, clients))

    assert (found is not None) is is_light
    alice_client.in_event_loop = True
    assert alice_client.get(target).json()["chapters"][0]["topics"][0]["id"] == topic.pk


class CountingClients(LoopClients):
    count = 0

    def fetch(self, sql: str, params: Any) -> Any:
        self.count += 1
        return super().fetch(sql, params)


def test_many_who_miss_the_same_page_in_an_event_loop_have_it_rendered_once(alice, targets, alice_client):
    alice_client.get(targets["pending"])  # the session is known by now
    asked, target = service(), targets["list"]

    async def many() -> tuple[list[Any], int]:
        clients = CountingClients(asyncio.get_running_loop())
        environs = [RequestFactory().get(target, **alice_client._credentials).environ for _ in range(8)]
        try:
            answers = await asyncio.gather(*(asked.respond_in_event_loop(environ, clients) for environ in environs))
        finally:
            await clients.close()
        return answers, clients.count

    answers, count = asyncio.run(many())

    assert {(status, body) for status, _, body in answers} == {(200, alice_client.get(target).content)}
    assert count == 1
