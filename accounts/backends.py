"""Authentication for the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.audit import WAS_THROTTLED
from accounts.login_throttle import count_login_attempt
from accounts.models import User, normalize_email
from accounts.services import passwords
from accounts.services.constant_time_login import TooManyChecks
from utils.http.errors import TooManyRequests


class ThrottledModelBackend(ModelBackend):
    """Django's backend with the limits and checks of the API's login, so that guessing is no easier in the admin."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        try:
            if request is not None:
                count_login_attempt(request, kind="email", name=normalize_email(username))
            return passwords.authenticate(email=username, password=password)
        except (TooManyRequests, TooManyChecks) as error:
            if request is not None:
                request.META[WAS_THROTTLED] = True
            raise PermissionDenied from error  # Django then skips other backends and shows its usual error
