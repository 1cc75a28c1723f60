"""The door to reads: every query of a view, each with its cost bounded, and the names of what is cached.

Services and models below never need it; code outside the applications imports reads from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from hashlib import blake2b
from typing import Any, ParamSpec, Protocol, TypeVar
from urllib.parse import quote
from uuid import UUID

import orjson
from django.core.cache import cache
from django.db.models import Count, F, Func, QuerySet

from accounts.models import Session, User
from ai_tasks.models import AITask
from notes.models import Chapter, Note, NoteVersion, Topic
from notes.search import SearchTerms
from notifications.models import Notification
from utils.batching import batch_query
from utils.caching import forget_pages_of

__all__ = ["CacheOptimizer", "QueryOptimizer", "batch_query", "cached_query"]

NOTE_ORDERINGS = ("-updated_at", "updated_at", "-created_at", "created_at", "title", "-title")
TAGS_SHOWN_MAX = 500
SEARCH_RESULTS_MAX = 20
KEY_MAX_LENGTH = 200

P = ParamSpec("P")
T = TypeVar("T")


class HasKey(Protocol):
    """A user, of whom nothing but the key is read."""

    @property
    def pk(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class UserKey:
    """A user of whom only the key is known."""

    pk: int


class QueryOptimizer:
    """Reads. What returns a queryset has run no query yet; what returns an object raises its ``DoesNotExist``."""

    @staticmethod
    def get_notes_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[Note]:
        """Rows of the user's notes with ``chapter_count`` and ``topic_count``: one query.

        ``filters``: ``status``; ``tags``, all of which a note must have; ``search``, a text (or its terms) all of whose
        words must be found in a note; ``ordering``, one of ``NOTE_ORDERINGS``; ``trash``, true for the notes in the
        trash.
        """
        filters = filters or {}
        notes = Note.objects.owned_by(user.pk)
        notes = notes.trashed() if filters.get("trash") else notes.live()
        if status := filters.get("status"):
            notes = notes.filter(status=status)
        if tags := filters.get("tags"):
            notes = notes.tagged(tags)
        if search := filters.get("search"):
            notes = notes.matching(search if isinstance(search, SearchTerms) else SearchTerms.parse(search))
        return notes.for_list().order_by(*QueryOptimizer.note_ordering(filters))

    @staticmethod
    def note_ordering(filters: Mapping[str, Any]) -> tuple[str, str]:
        """The order of a list of notes, which ends in a unique column. Raises ``ValueError`` for an unknown one."""
        ordering = filters.get("ordering") or NOTE_ORDERINGS[0]
        if ordering not in NOTE_ORDERINGS:
            raise ValueError(f"Notes cannot be ordered by {ordering!r}.")
        return ordering, "-id" if ordering.startswith("-") else "id"

    @staticmethod
    def get_note_detail(note_id: int | str, user: HasKey) -> Note:
        """The note with all its chapters and topics: three queries."""
        return Note.objects.owned_by(user.pk).live().for_detail().get(pk=note_id)

    @staticmethod
    def require_note(note_id: int, user: HasKey) -> None:
        """Tell an empty note from one that is not the user's: raises ``Note.DoesNotExist``."""
        Note.objects.owned_by(user.pk).live().only("pk").get(pk=note_id)

    @staticmethod
    def get_note(note_id: int, user: HasKey) -> QuerySet[Note]:
        """One of the user's notes, as a queryset for rows."""
        return Note.objects.owned_by(user.pk).live().filter(pk=note_id)

    @staticmethod
    def get_note_contents(note_id: int) -> QuerySet[Note]:
        """The note joined with its chapters and their topics, in their order, as a queryset for rows.

        Nobody's ownership is checked: for code that has done so.
        """
        return Note.objects.filter(pk=note_id).order_by("chapters__order", "chapters__topics__order")

    @staticmethod
    def get_chapters_optimized(note_id: int, user: HasKey) -> QuerySet[Chapter]:
        """The chapters of a note in their order; none if the note is not the user's."""
        return Chapter.objects.owned_by(user.pk).filter(note=note_id).for_api()

    @staticmethod
    def get_chapter_detail(chapter_id: int, user: HasKey) -> Chapter:
        return Chapter.objects.owned_by(user.pk).for_api().get(pk=chapter_id)

    @staticmethod
    def require_chapter(chapter_id: int, user: HasKey) -> None:
        """Tell an empty chapter from one that is not the user's: raises ``Chapter.DoesNotExist``."""
        Chapter.objects.owned_by(user.pk).only("pk").get(pk=chapter_id)

    @staticmethod
    def get_topics_optimized(chapter_id: int, user: HasKey | None = None) -> QuerySet[Topic]:
        """The topics of a chapter in their order; none if the chapter is not the user's.

        Without a user nobody's ownership is checked: for code that has done so.
        """
        topics = Topic.objects.all() if user is None else Topic.objects.owned_by(user.pk)
        return topics.filter(chapter=chapter_id).for_api()

    @staticmethod
    def get_topic_detail(topic_id: int, user: HasKey) -> Topic:
        return Topic.objects.owned_by(user.pk).for_api().get(pk=topic_id)

    @staticmethod
    def get_versions_for_list(note_id: int, user: HasKey) -> QuerySet[NoteVersion]:
        """The kept versions of a note without their snapshots, the newest first."""
        return NoteVersion.objects.owned_by(user.pk).filter(note=note_id).for_list()

    @staticmethod
    def get_version_detail(note_id: int, version: int, user: HasKey) -> NoteVersion:
        return NoteVersion.objects.owned_by(user.pk).get(note=note_id, version=version)

    @staticmethod
    def get_tags(user: HasKey) -> QuerySet[Note, Any]:
        """Rows ``{tag, count}`` of the user's notes, the most used first; at most ``TAGS_SHOWN_MAX``."""
        tag = Func(F("tags"), function="unnest", set_returning=True)
        rows = Note.objects.owned_by(user.pk).live().annotate(tag=tag).values("tag").annotate(count=Count("pk"))
        return rows.order_by("-count", "tag")[:TAGS_SHOWN_MAX]

    @staticmethod
    def search_notes(user: HasKey, terms: SearchTerms) -> QuerySet[Note]:
        """The best matches among titles, tags and chapters' titles, with ``rank`` and ``headline``."""
        return Note.objects.owned_by(user.pk).live().ranked(terms)[:SEARCH_RESULTS_MAX]

    @staticmethod
    def search_topics(user: HasKey, terms: SearchTerms) -> QuerySet[Topic]:
        """The best matches among topics, with ``rank``, ``headline`` and ``note_id``."""
        return Topic.objects.owned_by(user.pk).ranked(terms)[:SEARCH_RESULTS_MAX]

    @staticmethod
    def get_tasks_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[AITask]:
        """The user's AI tasks without their results, the newest first. ``filters``: ``status``, ``topic_id``."""
        filters = filters or {}
        wanted = {name: filters[name] for name in ("status", "topic_id") if filters.get(name) is not None}
        return AITask.objects.owned_by(user.pk).filter(**wanted).for_list()

    @staticmethod
    def get_task_detail(task_id: UUID | str, user: HasKey) -> AITask:
        return QueryOptimizer.get_task(task_id, user).get()

    @staticmethod
    def get_task(task_id: UUID | str, user: HasKey) -> QuerySet[AITask]:
        """One of the user's tasks, as a queryset for rows."""
        return AITask.objects.owned_by(user.pk).filter(pk=task_id)

    @staticmethod
    def get_usage_today(user: HasKey) -> dict[str, Any]:
        """What the user had of AI since midnight UTC, as ``AITaskQuerySet.usage_today`` tells it: one query."""
        return AITask.objects.owned_by(user.pk).usage_today()

    @staticmethod
    def get_notifications_for_list(user: HasKey) -> QuerySet[Notification]:
        """All that the user was told, the newest first."""
        return Notification.objects.filter(user_id=user.pk).order_by("-created_at", "-id")

    @staticmethod
    def get_user_profile(user_id: int) -> User:
        """What a user is shown of themselves: everything but the password."""
        return User.objects.defer("password").get(pk=user_id)

    @staticmethod
    def get_sessions_for_list(user: HasKey) -> QuerySet[Session]:
        """The user's sessions that are still signed in, the newest first."""
        return Session.objects.owned_by(user.pk).live().order_by("-id")


class CacheOptimizer:
    """Names of cached things, and how to make a user's cached pages unreachable."""

    @staticmethod
    def get_cache_key(name: str, *parts: object, **params: object) -> str:
        """A key that is the same for the same arguments in any order of ``params``, in any process.

        Printable ASCII without spaces, at most ``KEY_MAX_LENGTH`` characters: what is longer is hashed. Different
        arguments give different keys: ``1`` and ``"1"`` are different, a UUID or a moment and its text are not.
        """
        described = [*parts, params] if params else list(parts)
        words = [quote(name, safe=""), *(quote(_describe(part), safe="") for part in described)]
        key = ":".join(words)
        if len(key) <= KEY_MAX_LENGTH:
            return key
        digest = blake2b(key.encode(), digest_size=20).hexdigest()
        return f"{words[0][: KEY_MAX_LENGTH - len(digest) - 1]}:{digest}"

    @staticmethod
    def invalidate_user_cache(user_id: int) -> None:
        """Make every cached page of the user unreachable, on every process.

        For changes made outside the services, as by SQL: each write of a service does the same by itself.
        """
        forget_pages_of(user_id)

    @staticmethod
    def invalidate_note_cache(note_id: int, user_id: int | None = None) -> None:
        """Make the pages that show a note unreachable: its owner's. Looks the owner up if not told; a note that does
        not exist is on no page."""
        if user_id is None:
            user_id = Note.objects.filter(pk=note_id).values_list("user_id", flat=True).first()
        if user_id is not None:
            forget_pages_of(user_id)


_MISSING = object()


def cached_query(key: str | Callable[P, str], timeout: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep what a function returns for ``timeout`` seconds; a queryset is kept as the list of its rows.

    ``key`` is the cache key, or makes it from the function's arguments. The answer may be as old as ``timeout``: what
    must show a user's last write belongs in a cached page instead. Without a cache the function is simply called.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> T:
            name = key(*args, **kwargs) if callable(key) else key
            found = cache.get(name, _MISSING)
            if found is _MISSING:
                value: Any = function(*args, **kwargs)
                found = list(value) if isinstance(value, QuerySet) else value
                cache.set(name, found, timeout)
            return found

        return answer

    return decorate


def _describe(part: object) -> str:
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=_plain).decode()


def _plain(part: object) -> Any:
    return sorted(part, key=str) if isinstance(part, (set, frozenset)) else str(part)
