"""The façade of reads: the lists and objects that views show, each of bounded cost, and the invalidation of caches.

Of the product only views import it. What is more than rows of models is read by modules of the apps, which views call
directly: the most frequent reads as dictionaries (``reads.py``), and what is computed, such as a queue or statistics.
"""

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, F, Func, Max, OuterRef, Prefetch, QuerySet, Subquery

from accounts.models import Session, User
from ai_tasks.models import AITask, Proposal
from notes.models import Attachment, Chapter, Note, NoteVersion, Share, Topic
from notes.search.query import SearchTerms
from notes.services.note_exports import kept_exports
from notes.snapshots import snapshot_of, whole_snapshot
from notes.transfers import ImportedFile, NoteExport, NoteImport
from notifications.models import Notification
from study.models import Card, Exam, Quiz, Recall
from utils.database.batching import batch_query
from utils.page_cache.invalidation import forget_pages_of
from utils.page_cache.keys import cache_key

__all__ = ["CacheOptimizer", "QueryOptimizer", "batch_query", "cached_query"]

TAGS_SHOWN_MAX = 500

P = ParamSpec("P")
T = TypeVar("T")


class HasKey(Protocol):
    """A user; only the primary key is read."""

    @property
    def pk(self) -> Any: ...


class QueryOptimizer:
    """Reads. Methods that return a queryset run no query; methods that return an object raise its ``DoesNotExist``."""

    @staticmethod
    def get_notes_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[Note]:
        """The user's notes with ``chapter_count`` and ``topic_count``: one query.

        ``filters``: ``status``; ``tags``, all of which a note must have; ``search``, a text all of whose words must
        match; ``ordering``, one of ``NOTE_ORDERINGS``; ``trash``, true for the notes in the trash.
        """
        filters = dict(filters or {})
        if text := filters.get("search"):
            filters["search"] = SearchTerms.parse(text, user_id=user.pk)
        return Note.objects.owned_by(user.pk).filtered(filters)

    @staticmethod
    def get_note_detail(note_id: int | str, user: HasKey) -> Note:
        """The note with all its chapters and topics: three queries."""
        return Note.objects.owned_by(user.pk).live().for_detail().get(pk=note_id)

    @staticmethod
    def require_note(note_id: int, user: HasKey) -> None:
        """Raise ``Note.DoesNotExist`` if the note is not the user's. Called when its list of parts is empty."""
        Note.objects.owned_by(user.pk).live().only("pk").get(pk=note_id)

    @staticmethod
    def get_notes_to_export(note_ids: Collection[int], user: HasKey) -> QuerySet[Note]:
        """The user's notes with these ids: one query. Raises ``Note.DoesNotExist`` if one is missing."""
        notes = Note.objects.owned_by(user.pk).live().filter(pk__in=note_ids)
        if notes.count() != len(note_ids):
            raise Note.DoesNotExist
        return notes

    @staticmethod
    def get_export(export_id: UUID, user: HasKey) -> NoteExport:
        """An export that has not expired, with its note's title: one query."""
        exports = kept_exports().filter(user_id=user.pk).select_related("note")
        return exports.defer("note__search", "note__words", "note__title_key").get(pk=export_id)

    @staticmethod
    def get_import(import_id: UUID, user: HasKey) -> NoteImport:
        """An import with the report of its files: two queries."""
        files = Prefetch("files", queryset=ImportedFile.objects.order_by("position"))
        return NoteImport.objects.filter(user_id=user.pk).prefetch_related(files).get(pk=import_id)

    @staticmethod
    def get_chapters_optimized(note_id: int, user: HasKey) -> QuerySet[Chapter]:
        """The chapters of a note in order; empty if the note is not the user's."""
        return Chapter.objects.owned_by(user.pk).filter(note=note_id).for_api()

    @staticmethod
    def get_chapter_detail(chapter_id: int, user: HasKey) -> Chapter:
        return Chapter.objects.owned_by(user.pk).for_api().get(pk=chapter_id)

    @staticmethod
    def require_chapter(chapter_id: int, user: HasKey) -> None:
        """Raise ``Chapter.DoesNotExist`` if the chapter is not the user's. Called when its list of topics is empty."""
        Chapter.objects.owned_by(user.pk).only("pk").get(pk=chapter_id)

    @staticmethod
    def get_topics_optimized(chapter_id: int, user: HasKey | None = None) -> QuerySet[Topic]:
        """The topics of a chapter in order; empty if the chapter is not the user's.

        Without ``user`` ownership is not checked: for code that has checked it already.
        """
        topics = Topic.objects.all() if user is None else Topic.objects.owned_by(user.pk)
        return topics.filter(chapter=chapter_id).for_api()

    @staticmethod
    def get_topic_detail(topic_id: int, user: HasKey) -> Topic:
        return Topic.objects.owned_by(user.pk).for_api().get(pk=topic_id)

    @staticmethod
    def get_versions_for_list(note_id: int, user: HasKey) -> QuerySet[NoteVersion]:
        """The kept versions of a note without their snapshots, newest first."""
        return NoteVersion.objects.owned_by(user.pk).filter(note=note_id).for_list()

    @staticmethod
    def get_version_detail(note_id: int, version: int, user: HasKey) -> NoteVersion:
        return NoteVersion.objects.owned_by(user.pk).get(note=note_id, version=version)

    @staticmethod
    def get_attachments_for_list(note_id: int, user: HasKey) -> QuerySet[Attachment]:
        """The attachments of a note, the newest first; empty if the note is not the user's."""
        return Attachment.objects.owned_by(user.pk).filter(note=note_id).order_by("-created_at", "-id")

    @staticmethod
    def get_attachment(attachment_id: UUID, user: HasKey) -> Attachment:
        """An attachment of a note outside the trash, of a user who is active: one query."""
        return Attachment.objects.of_living_user(user.pk).get(pk=attachment_id)

    @staticmethod
    def get_snapshot(note_id: int, version: int | None, user: HasKey) -> dict[str, Any]:
        """The whole note at a kept version, or the current note for ``version=None``: two or three queries.

        Raises ``NoteVersion.DoesNotExist`` or ``Note.DoesNotExist``.
        """
        if version is None:
            return snapshot_of(Note.objects.owned_by(user.pk).live().for_snapshot().get(pk=note_id))
        return whole_snapshot(QueryOptimizer.get_version_detail(note_id, version, user))

    @staticmethod
    def get_shares_for_list(note_id: int, user: HasKey) -> QuerySet[Share]:
        """The links to a note, the newest first; empty if the note is not the user's."""
        return Share.objects.owned_by(user.pk).filter(note=note_id).order_by("-created_at", "-id")

    @staticmethod
    def get_open_share(slug: str) -> Share:
        """The share with its note's id, owner and version: one query. Expired and similar shares are not found.

        ``attachments`` and ``newest_attachment`` change with the note's attachments; the note's version does not.
        """
        of_note = Attachment.objects.filter(note=OuterRef("note")).order_by().values("note")
        shares = Share.objects.open().select_related("note")
        shown = ("id", "slug", "password", "expires_at", "note__id", "note__user_id", "note__version")
        return (
            shares.only(*shown)
            .annotate(
                attachments=Subquery(of_note.annotate(n=Count("pk")).values("n")),
                newest_attachment=Subquery(of_note.annotate(at=Max("created_at")).values("at")),
            )
            .get(slug=slug)
        )

    @staticmethod
    def get_tags(user: HasKey) -> QuerySet[Note, Any]:
        """Rows ``{tag, count}`` of the user's notes, most used first; at most ``TAGS_SHOWN_MAX``."""
        tag = Func(F("tags"), function="unnest", set_returning=True)
        rows = Note.objects.owned_by(user.pk).live().annotate(tag=tag).values("tag").annotate(count=Count("pk"))
        return rows.order_by("-count", "tag")[:TAGS_SHOWN_MAX]

    @staticmethod
    def search_notes(user: HasKey, text: str) -> QuerySet[Note]:
        """The best matches in titles, tags and chapter titles, with ``rank``, ``capped`` and ``text``."""
        terms = SearchTerms.parse(text, user_id=user.pk)
        found = Note.objects.owned_by(user.pk).live().titled(terms).newest()
        return Note.objects.filter(pk__in=found.values("pk")).ranked(terms)

    @staticmethod
    def search_topics(user: HasKey, text: str) -> QuerySet[Topic]:
        """The best matching topics, with ``rank``, ``capped``, ``text`` and ``note_id``."""
        terms = SearchTerms.parse(text, user_id=user.pk)
        found = Topic.objects.owned_by(user.pk).matching(terms).newest()
        return Topic.objects.filter(pk__in=found.values("pk")).ranked(terms)

    @staticmethod
    def get_tasks_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[AITask]:
        """The user's AI tasks without their results, newest first. ``filters``: ``status``, ``topic_id``."""
        filters = filters or {}
        wanted = {name: filters[name] for name in ("status", "topic_id") if filters.get(name) is not None}
        return AITask.objects.owned_by(user.pk).filter(**wanted).for_list()

    @staticmethod
    def get_task_detail(task_id: UUID | str, user: HasKey) -> AITask:
        return AITask.objects.owned_by(user.pk).get(pk=task_id)

    @staticmethod
    def get_usage_today(user: HasKey) -> dict[str, Any]:
        """The user's AI usage since midnight UTC, see ``AITaskQuerySet.usage_today``: one query."""
        return AITask.objects.owned_by(user.pk).usage_today()

    @staticmethod
    def get_proposals_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[Proposal]:
        """The user's proposals without their hunks, newest first: one query.

        ``filters``: ``note`` and ``topic``, ids; ``status``; ``field``.
        """
        return Proposal.objects.owned_by(user.pk).filtered(filters or {}).for_list()

    @staticmethod
    def get_proposal_detail(proposal_id: UUID | str, user: HasKey) -> Proposal:
        """The proposal with its topic's current text: one query."""
        return Proposal.objects.owned_by(user.pk).for_detail().get(pk=proposal_id)

    @staticmethod
    def get_cards_for_list(user: HasKey, filters: Mapping[str, Any] | None = None) -> QuerySet[Card]:
        """The user's cards with their faces, newest first: one query.

        ``filters``: ``note`` and ``topic``, ids; ``tag``; ``state``; ``stale``; ``q``, all of whose words must match.
        """
        return Card.objects.owned_by(user.pk).filtered({**(filters or {}), "user_id": user.pk})

    @staticmethod
    def get_card_detail(card_id: UUID | str, user: HasKey) -> Card:
        return Card.objects.owned_by(user.pk).for_api().get(pk=card_id)

    @staticmethod
    def get_exams_for_list(user: HasKey) -> QuerySet[Exam]:
        """The user's exams, the latest date first: one query."""
        return Exam.objects.owned_by(user.pk).for_list()

    @staticmethod
    def get_exam_detail(exam_id: UUID | str, user: HasKey) -> Exam:
        return Exam.objects.owned_by(user.pk).get(pk=exam_id)

    @staticmethod
    def get_exam_by_calendar(token: str) -> Exam:
        """The exam of a calendar link with this token. The token alone gives access; there is no user."""
        return Exam.objects.of_calendar(token).get()

    @staticmethod
    def get_quizzes_for_list(user: HasKey) -> QuerySet[Quiz]:
        """The user's quizzes without their questions, newest first: one query."""
        return Quiz.objects.owned_by(user.pk).for_list()

    @staticmethod
    def get_quiz_detail(quiz_id: UUID | str, user: HasKey) -> Quiz:
        """A quiz without its solutions: one query."""
        return Quiz.objects.owned_by(user.pk).for_api().get(pk=quiz_id)

    @staticmethod
    def get_recalls_for_list(user: HasKey) -> QuerySet[Recall]:
        """The user's recalls without their texts, newest first: one query."""
        return Recall.objects.owned_by(user.pk).for_list()

    @staticmethod
    def get_recall_detail(recall_id: UUID | str, user: HasKey) -> Recall:
        return Recall.objects.owned_by(user.pk).get(pk=recall_id)

    @staticmethod
    def get_notifications_for_list(user: HasKey) -> QuerySet[Notification]:
        """All notifications of the user, newest first."""
        return Notification.objects.filter(user_id=user.pk).order_by("-created_at", "-id")

    @staticmethod
    def get_user_profile(user_id: int) -> User:
        """The user, without the password."""
        return User.objects.defer("password").get(pk=user_id)

    @staticmethod
    def get_sessions_for_list(user: HasKey) -> QuerySet[Session]:
        """The user's live sessions, newest first."""
        return Session.objects.owned_by(user.pk).live().order_by("-id")


class CacheOptimizer:
    """Cache keys, and the invalidation of a user's cached pages."""

    @staticmethod
    def get_cache_key(name: str, *parts: object, **params: object) -> str:
        """A key that is the same for the same arguments in any order of ``params``, in any process.

        Printable ASCII without spaces, at most 200 characters: a longer key is hashed. Different arguments give
        different keys: ``1`` and ``"1"`` are different; a UUID or a timestamp and its text are the same.
        """
        return cache_key(name, *parts, **params)

    @staticmethod
    def invalidate_user_cache(user_id: int) -> None:
        """Make every cached page of the user unreachable, in every process.

        For changes made outside the services, such as by SQL. The services do it with every write.
        """
        forget_pages_of(user_id)

    @staticmethod
    def invalidate_note_cache(note_id: int, user_id: int | None = None) -> None:
        """Make all pages of the note's owner unreachable. Reads the owner if ``user_id`` is not given."""
        if user_id is None:
            user_id = Note.objects.filter(pk=note_id).values_list("user_id", flat=True).first()
        if user_id is not None:
            forget_pages_of(user_id)


_MISSING = object()


def cached_query(key: str | Callable[P, str], timeout: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache a function's result for ``timeout`` seconds; a queryset is cached as the list of its rows.

    ``key`` is the cache key, or a function that makes it from the arguments. The result may be ``timeout`` seconds old:
    where a user's last write must be visible, use a cached page instead. If the cache is unavailable, the function is
    called.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            name = key(*args, **kwargs) if callable(key) else key
            found = cache.get(name, _MISSING)
            if found is _MISSING:
                value: Any = function(*args, **kwargs)
                found = list(value) if isinstance(value, QuerySet) else value
                cache.set(name, found, timeout)
            return found

        return call

    return decorate
