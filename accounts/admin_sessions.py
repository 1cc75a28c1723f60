"""How long a sign-in to the admin lasts: kept in its session, whose cookie lives longer.

Whoever signed in 12 hours ago, or has requested no page for 2 hours, signs in again. In production a session opens the
admin only after the second factor, too.
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
"""A use is noted once in this time, so that most pages write no session."""

_SIGNED_IN_AT = "signed_in_at"
_USED_AT = "used_at"
_HAS_SECOND_FACTOR = "has_second_factor"


@receiver(user_logged_in)
def begin(request: HttpRequest, **_kwargs: Any) -> None:
    """The password was right. The session may be an earlier one of the same user, so all is set anew."""
    now = int(time.time())
    request.session.update({_SIGNED_IN_AT: now, _USED_AT: now, _HAS_SECOND_FACTOR: False})


def is_fresh(session: SessionBase) -> bool:
    """Whether the sign-in is recent enough. One from before these times were kept is not."""
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
