"""Deletes attachments that no text of their owner has named for a week.

A text names an attachment by its path. The texts are those of topics, also of notes in the trash, and of kept versions.
Most attachments are named in their own note, which is searched first; only for the others are all texts of the owner
searched. Other apps add their texts by ``register_texts``.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, Coalesce, Now

from notes.models import Attachment, KeptTopic, NoteVersion, Topic
from notes.services.budgets import charge_user
from notes.snapshots import kept_topic, load_topics

ORPHANED_AFTER = timedelta(days=7)
CHECKED_EVERY = timedelta(days=1)
BATCH_SIZE = 200
BATCHES_MAX = 20
"""The maximum in one run; the next run continues."""
_PATH = "/api/attachments/"
_NAMED = re.compile(rf"{_PATH}([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})", re.IGNORECASE)

_texts_of_others: list[Callable[[int], Iterable[str]]] = []


def register_texts(texts: Callable[[int], Iterable[str]]) -> None:
    """Keep attachments that texts of another app name. ``texts`` takes the user's id and returns these texts."""
    _texts_of_others.append(texts)


def purge_orphans() -> int:
    """Check the attachments that were last checked over a day ago, and delete the orphans; return their number."""
    deleted = 0
    for _ in range(BATCHES_MAX):
        due = Attachment.objects.filter(checked_at__lt=Now() - CHECKED_EVERY).order_by("checked_at")
        batch = list(due.only("pk", "user_id", "note_id")[:BATCH_SIZE])
        if not batch:
            break
        named = _named_among(batch)
        ids = [attachment.pk for attachment in batch]
        checked = Attachment.objects.filter(pk__in=ids)
        checked.filter(pk__in=named).update(unnamed_since=None, checked_at=Now())
        checked.exclude(pk__in=named).update(unnamed_since=Coalesce("unnamed_since", Now()), checked_at=Now())
        for user_id in sorted({attachment.user_id for attachment in batch}):
            deleted += _delete(user_id, ids)
    return deleted


def _delete(user_id: int, ids: Sequence[UUID]) -> int:
    with transaction.atomic():
        old = Attachment.objects.filter(pk__in=ids, user_id=user_id, unnamed_since__lt=Now() - ORPHANED_AFTER)
        sizes = dict(old.select_for_update().order_by("pk").values_list("pk", "size"))
        Attachment.objects.filter(pk__in=sizes).delete()
        charge_user(user_id=user_id, grown=-sum(sizes.values()))
    return len(sizes)


def _named_among(attachments: Iterable[Attachment]) -> set[UUID]:
    of_notes: dict[int, set[UUID]] = defaultdict(set)
    for attachment in attachments:
        if attachment.note_id is not None:
            of_notes[attachment.note_id].add(attachment.pk)
    named: set[UUID] = set()
    for note_id, ids in of_notes.items():
        named |= ids & _named_in(_texts(Q(chapter__note=note_id), Q(note=note_id)), ids)
    of_users: dict[int, set[UUID]] = defaultdict(set)
    for attachment in attachments:
        if attachment.pk not in named:
            of_users[attachment.user_id].add(attachment.pk)
    for user_id, ids in of_users.items():
        texts = _texts(Q(chapter__note__user=user_id), Q(note__user=user_id))
        of_others = (text for texts_of in _texts_of_others for text in texts_of(user_id))
        named |= ids & _named_in(chain(texts, of_others), ids)
    return named


def _named_in(texts: Iterable[str], wanted: set[UUID]) -> set[UUID]:
    """The ids that the texts name. Stops reading when all wanted ids are found."""
    found: set[UUID] = set()
    for text in texts:
        found.update(map(UUID, _NAMED.findall(text)))
        if wanted <= found:
            break
    return found


def _texts(of_topics: Q, of_versions: Q) -> Iterator[str]:
    """Texts that name any attachment, one at a time. Add new kinds of texts here."""
    for column in ("explanation", "code"):
        yield from _one_by_one(Topic.objects.filter(of_topics, **{f"{column}__contains": _PATH}), column)
    for column in ("title", "sources_text"):
        topics = Topic.objects.annotate(sources_text=Cast("sources", TextField()))
        yield from _one_by_one(topics.filter(of_topics, **{f"{column}__contains": _PATH}), column)
    kept = KeptTopic.objects.annotate(text=Cast("content", TextField()))
    yield from _one_by_one(kept.filter(of_versions, text__contains=_PATH), "text")
    for pk in list(KeptTopic.objects.filter(of_versions).exclude(base=None).values_list("pk", flat=True)):
        yield from _patched_texts(pk)  # a path may be partly in the base
    versions = NoteVersion.objects.annotate(text=Cast("snapshot", TextField()))
    yield from _one_by_one(versions.filter(of_versions, text__contains=_PATH), "text")


def _patched_texts(kept_id: int) -> Iterator[str]:
    """The texts of a kept topic that is stored as a difference."""
    rows = load_topics([kept_id])
    rows |= load_topics([row.base for row in rows.values() if row.base is not None])
    try:
        topic = kept_topic({"id": None, "kept": kept_id}, rows)
    except NoteVersion.DoesNotExist:
        return  # dropped meanwhile
    yield from (topic["explanation"], topic["code"])


def _one_by_one(rows: QuerySet[Topic] | QuerySet[KeptTopic] | QuerySet[NoteVersion], column: str) -> Iterator[str]:
    """Read only keys in batches, and texts one by one, as a version may have several megabytes."""
    for key in list(rows.order_by("pk").values_list("pk", flat=True)):
        yield from rows.filter(pk=key).values_list(column, flat=True)
