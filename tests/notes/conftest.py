"""What the tests of notes share: requests in short, and notes of a known shape.

Both commit, as far as the cache can see, so that later reads go through cached pages.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from rest_framework.test import APIClient

from accounts.models import User
from notes import services
from notes.blocks.stored import off_blocks_changed, on_blocks_changed
from notes.models import Note


@pytest.fixture(autouse=True)
def _many_requests(no_limits: None) -> None:
    """These tests send more requests than a student."""


@pytest.fixture
def send(django_capture_on_commit_callbacks: Any) -> Callable[..., HttpResponse]:
    def send(client: APIClient, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with django_capture_on_commit_callbacks(execute=True):
            return getattr(client, method)(path, body, format="json", headers=named)

    return send


@pytest.fixture
def make_note(db: None, django_capture_on_commit_callbacks: Any) -> Callable[..., Note]:
    """Make a note whose chapters have the given numbers of topics: "chapter 0" with "topic 0.0", and so on."""

    def make_note(user: User, *topics: int, **fields: Any) -> Note:
        chapters = [
            {
                "title": f"chapter {i}",
                "topics": [{"title": f"topic {i}.{j}", "explanation": f"text {i}.{j}"} for j in range(count)],
            }
            for i, count in enumerate(topics)
        ]
        with django_capture_on_commit_callbacks(execute=True):
            note = services.create_note(user_id=user.pk, data={"title": "A note", **fields, "chapters": chapters})
        return Note.objects.get(pk=note["id"])

    return make_note


@pytest.fixture
def told() -> Iterator[list]:
    """What an app that asked for changes of blocks was told."""
    calls: list = []

    def hear(topic_ids, changed, removed):
        assert connection.in_atomic_block
        calls.append((list(topic_ids), {key: block.text for key, block in changed.items()}, list(removed)))

    on_blocks_changed(hear)
    yield calls
    off_blocks_changed(hear)
