"""Signing in to the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.login_throttle import count_attempt
from accounts.models import User, normalize_email
from utils.exceptions import TooManyRequests


class ThrottledModelBackend(ModelBackend):
    """Django's own backend within the limits of the API's login, so that guessing has no side door."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if request is not None and username is not None:
            try:
                count_attempt(request, account=normalize_email(username))
            except TooManyRequests as error:
                raise PermissionDenied from error  # Django then asks no further and shows its usual refusal
        return super().authenticate(request, username, password, **kwargs)
