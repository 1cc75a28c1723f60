"""Shared notes in tests: a link is made by its owner and opened by visitors, who have nothing but a browser."""

import re
from typing import Any

from django.http import HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from notes.models import Note
from tests.factories import ChapterFactory, NoteFactory, TopicFactory


def make_note(user: User) -> Note:
    """A note whose every text would be markup if it were not escaped."""
    note = NoteFactory(user=user, title="Loops <1>", tags=["py&thon"])
    TopicFactory(
        chapter=ChapterFactory(note=note, title="For & while"),
        title="Why",
        explanation="A **loop** <script>alert(1)</script>",
        code="if a < b:\n    pass",
        code_language="Python",
        sources=[{"title": "Docs <i>", "url": "https://docs.python.org/?a=1&b=2"}],
    )
    return note


def share(client: APIClient, note: Note, **body: Any) -> dict[str, Any]:
    response = client.post(f"/api/notes/{note.pk}/shares/", body, format="json")
    assert response.status_code == 201, response.json()
    return response.json()


def path_of(shared: dict[str, Any]) -> str:
    return f"/s/{shared['slug']}/"


def unlock(visitor: Client, path: str, password: str | None) -> HttpResponse:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', visitor.get(path).content.decode())[1]
    body = {"csrfmiddlewaretoken": token} | ({} if password is None else {"password": password})
    return visitor.post(path, body)
