from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import PasswordReset, User
from accounts.services.constant_time_login import checking_outdated_hashes
from tests.ai_tasks.conftest import openai_server  # noqa: F401  # a fixture
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory, UserFactory
from tests.service_client import ServiceClient

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def encoded_password() -> str:
    return make_password(PASSWORD)


@pytest.fixture
def alice(db: None, encoded_password: str) -> User:
    """Alice with a password that is known: ``PASSWORD``."""
    return UserFactory(email="alice@example.com", name="Alice", password=encoded_password)


@pytest.fixture
def committing(django_capture_on_commit_callbacks) -> Callable[[], AbstractContextManager]:
    """A block after which the transaction counts as committed: what waits for the commit runs."""
    return partial(django_capture_on_commit_callbacks, execute=True)


@pytest.fixture(params=["a thread", "an event loop"])
def handled_by(request, monkeypatch) -> str:
    """Fast reads are tested as a server's event loop and as its threads handle them."""
    monkeypatch.setattr(ServiceClient, "in_event_loop", request.param == "an event loop")
    return request.param


@pytest.fixture
def targets(alice) -> dict[str, str]:
    note = NoteFactory(user=alice, title="Loops")
    TopicFactory(chapter=ChapterFactory(note=note))
    task = AITaskFactory(user=alice, request_type="summarize", request_data={"content": "Text."})
    return {
        "list": "/api/notes/?ordering=title",
        "detail": f"/api/notes/{note.pk}/",
        "pending": "/api/notifications/pending/",
        "task": f"/api/ai/tasks/{task.pk}/",
        "search": "/api/search/?q=loops",
    }


@pytest.fixture
def without_django(monkeypatch) -> None:
    monkeypatch.setattr(ServiceClient, "has_django", False)


@pytest.fixture
def no_slot_is_free(settings) -> ExitStack:
    """While it is entered, as many outdated hashes are checked as may be at once: one for four threads."""

    class Slots(ExitStack):
        def __enter__(self) -> "Slots":
            for _ in range(settings.WEB_THREADS // 4):
                self.enter_context(checking_outdated_hashes())
            return self

    return Slots()


@pytest.fixture
def reset(alice) -> PasswordReset:
    return PasswordReset.objects.create(user=alice)
