from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import User
from accounts.services import steady_time
from tests.factories import UserFactory

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def hasty_answers(monkeypatch) -> None:
    """Answers that take a steady time take none: what they wait for has a test of its own."""
    monkeypatch.setattr(steady_time, "STEP_SECONDS", 1e-6)


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
