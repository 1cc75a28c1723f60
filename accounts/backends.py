"""Signing in to the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.login_throttle import count_attempt
from accounts.models import User, normalize_email
from accounts.services import passwords
from accounts.services.equal_work import TooManyChecks
from utils.exceptions import TooManyRequests


class ThrottledModelBackend(ModelBackend):
    """Django's own backend with the limits and the checks of the API's login, so that guessing has no side door."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        try:
            if request is not None:
                count_attempt(request, kind="email", name=normalize_email(username))
            return passwords.authenticate(email=username, password=password)
        except (TooManyRequests, TooManyChecks) as error:
            raise PermissionDenied from error  # Django then asks no further and shows its usual refusal
