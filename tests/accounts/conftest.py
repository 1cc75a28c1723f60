from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import User
from tests.factories import UserFactory

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
