"""How long a sign-in to the admin lasts. Its times are stored in the session, whose cookie lives longer.

An operator must sign in again 12 hours after the sign-in, or after 2 hours without a request. In production the admin
also requires the second factor.
"""

import time
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest

MAX_AGE_SECONDS = 12 * 3600
MAX_IDLE_SECONDS = 2 * 3600
NOTED_EVERY_SECONDS = 60
"""The last use is recorded at most this often, so that most requests do not write the session."""

_SIGNED_IN_AT = "signed_in_at"
_USED_AT = "used_at"
_HAS_SECOND_FACTOR = "has_second_factor"


@receiver(user_logged_in)
def begin(request: HttpRequest, **_kwargs: Any) -> None:
    """Record a sign-in. The session may be an earlier one of the same user, so all values are reset."""
    now = int(time.time())
    request.session.update({_SIGNED_IN_AT: now, _USED_AT: now, _HAS_SECOND_FACTOR: False})


def is_fresh(session: SessionBase) -> bool:
    """Whether the sign-in is recent enough; False for a session of a release that did not record the times."""
    now = time.time()
    return now - session.get(_SIGNED_IN_AT, 0) < MAX_AGE_SECONDS and now - session.get(_USED_AT, 0) < MAX_IDLE_SECONDS


def lacks_second_factor(session: SessionBase) -> bool:
    return settings.OPERATORS_NEED_SECOND_FACTOR and not session.get(_HAS_SECOND_FACTOR, False)


def note_second_factor(session: SessionBase) -> None:
    session[_HAS_SECOND_FACTOR] = True


def note_use(session: SessionBase) -> None:
    now = int(time.time())
    if now - session[_USED_AT] >= NOTED_EVERY_SECONDS:
        session[_USED_AT] = now
