"""Fill the page cache with the pages that returning users request first."""

from argparse import ArgumentParser
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest
from django.urls import resolve, reverse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import session_state
from accounts.models import Session, User
from accounts.tokens import AccessClaims
from notes.models import Note
from utils.admission.gate import Subject, admit
from utils.page_cache.fast_reads import admission_arguments, read_spec_of
from utils.redis.client import RedisUnavailable

FIRST_PAGES = ("me", "note-list")


class Command(BaseCommand):
    help = (
        "Render the pages that a user's first request reads, for users who are signed in and were active lately. "
        "Safe to run at any time, also without Redis."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=2, help="how long ago a user may have been active (default: 2)")
        parser.add_argument("--limit", type=int, default=1000, help="how many users at most (default: 1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.PAGE_CACHE_ENABLED:
            self.stdout.write("The page cache is off, as CACHE_URL is locmem://: there is nothing to warm.")
            return
        subjects = recently_active(days=options["days"], limit=options["limit"])
        pages = 0
        try:
            for subject in subjects:
                pages += warm(subject)
        except RedisUnavailable as error:
            self.stderr.write(f"Redis does not answer ({error}): the caches will fill as users come.")
        self.stdout.write(f"Warmed {pages} pages of {len(subjects)} users.")


def recently_active(*, days: int, limit: int) -> list[Subject]:
    """The latest session of each signed-in user who refreshed it, or changed a note, in the last ``days``."""
    since = timezone.now() - timedelta(days=days)
    later = Session.objects.live().filter(user=OuterRef("user"), rotated_at__gt=OuterRef("rotated_at"))
    changed_note = Note.objects.filter(user=OuterRef("user"), updated_at__gte=since)
    sessions = (
        Session.objects.live()
        .filter(~Exists(later), Q(rotated_at__gte=since) | Exists(changed_note))
        .order_by("-rotated_at")
        .values_list("user_id", "pk", "user__token_version")
    )
    return [Subject(*claims) for claims in sessions[:limit]]


def warm(subject: Subject) -> int:
    """Render the user's first pages into the page cache; return how many were missing.

    Raises ``RedisUnavailable``.
    """
    if admit(subject).verdict == "unknown":
        is_staff = session_state.read(subject)
        if is_staff is None:
            return 0  # signed out meanwhile
        admit(subject, staff_as_read=is_staff)
    return sum(_render(reverse(name), subject) for name in FIRST_PAGES)


def _render(path: str, subject: Subject) -> bool:
    request = HttpRequest()
    request.method, request.path, request.path_info = "GET", path, path
    match = resolve(path)
    viewset: Any = match.func
    view = viewset.cls.as_view(viewset.actions, authentication_classes=[partial(OnBehalf, subject)])
    view(request, *match.args, **match.kwargs)
    return request.admission.page.outcome == "miss"  # type: ignore[attr-defined]


class OnBehalf(BaseAuthentication):
    """Authenticates a request as a session's user, without counting it against the user's limits."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def authenticate(self, request: Request) -> tuple[User, AccessClaims]:
        view, subject = request.parser_context["view"], self.subject
        spec = read_spec_of(view, view.action)
        assert spec is not None  # the first pages are fast reads
        looked_up = admission_arguments(spec, request, subject)
        request._request.admission = admit(subject, **looked_up)  # type: ignore[attr-defined]
        # These claims belong to no token, so they have expired already.
        claims = AccessClaims(subject.user_id, subject.token_version, subject.session_id, expires_at=0)
        return User(pk=subject.user_id), claims
