"""Sharing notes by links: creating and revoking them, checking passwords, counting views, and copying notes."""

import re
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction
from django.db.models import F

from notes import reads
from notes.models import Attachment, Note, Share
from notes.services.budgets import charge_user
from notes.services.notes import NoteData, create_note
from utils.database.compiled_queries import Row
from utils.http.errors import ApplicationError, Conflict
from utils.page_cache.invalidation import changing_pages_of
from utils.redis.client import RedisUnavailable, redis_guard
from utils.redis.scripts import Script

SHARES_MAX = 100
"""The maximum number for one note."""
SLUG_BYTES = 18
VIEWS_KEY, TAKEN_KEY = "shares:views", "shares:views:taken"
_DRAIN_LOCK = 4_710_317
_DRAINED_TOGETHER = 500
_ATTACHMENT = re.compile(r"/api/attachments/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/")

# Counts taken by an earlier drain that failed are returned again first.
_TAKE = Script(
    """
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[2])
end
return redis.call('HGETALL', KEYS[2])
"""
)


class TooManyShares(Conflict):
    code = "too_many_shares"
    detail = f"A note can have at most {SHARES_MAX} share links."


class WrongSharePassword(ApplicationError):
    code = "wrong_share_password"
    status_code = 403
    detail = "The password is wrong."


def create_share(*, user_id: int, note_id: int, expires_at: datetime | None = None, password: str = "") -> Share:
    """Make a link to a note. Raises ``Note.DoesNotExist`` and :class:`TooManyShares`."""
    hashed = make_password(password) if password else ""  # before the transaction, as hashing is slow
    with transaction.atomic():
        note = Note.objects.owned_by(user_id).live().only("pk").get(pk=note_id)
        if note.shares.count() >= SHARES_MAX:
            raise TooManyShares
        slug = secrets.token_urlsafe(SLUG_BYTES)
        share = Share.objects.create(note=note, slug=slug, password=hashed, expires_at=expires_at)
        share.refresh_from_db(fields=["created_at"])
        return share


def delete_share(*, user_id: int, note_id: int, share_id: UUID) -> None:
    """Revoke a link, at once. Raises ``Share.DoesNotExist``."""
    deleted, _ = Share.objects.owned_by(user_id).filter(note=note_id, pk=share_id).delete()
    if not deleted:
        raise Share.DoesNotExist


def may_see(share: Share, password: str) -> bool:
    """Whether the password opens the share. A share without a password accepts any."""
    return not share.password or check_password(password, share.password)


def count_view(share: Share) -> None:
    """Count one view in Redis; if Redis is unavailable, in the row."""
    try:
        with redis_guard() as client:
            client.hincrby(VIEWS_KEY, str(share.pk), 1)
    except RedisUnavailable:
        Share.objects.filter(pk=share.pk).update(views=F("views") + 1)


def drain_views() -> int:
    """Add the views that Redis has counted to their rows; return how many. Raises ``RedisUnavailable``.

    A crash may lose the views of a few seconds, but never counts one twice.
    """
    with transaction.atomic(), connection.cursor() as cursor, redis_guard() as client:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_DRAIN_LOCK])
        if cursor.fetchone() != (True,):
            return 0
        taken = _TAKE.run(keys=[VIEWS_KEY, TAKEN_KEY])
        views = [(UUID(key.decode()), int(count)) for key, count in zip(taken[::2], taken[1::2], strict=True)]
        for start in range(0, len(views), _DRAINED_TOGETHER):
            part = views[start : start + _DRAINED_TOGETHER]
            cursor.execute(
                "UPDATE notes_share SET views = notes_share.views + counted.views "
                "FROM unnest(%s::uuid[], %s::bigint[]) AS counted (id, views) WHERE notes_share.id = counted.id",
                [[pk for pk, _ in part], [count for _, count in part]],
            )
        client.delete(TAKEN_KEY)
    return sum(count for _, count in views)


def copy_share(*, user_id: int, share: Share) -> Row:
    """Copy a shared note for the user: a draft with new ids, and copies of the attachments that it names.

    Copies share the stored file, which stays until the last of them is deleted. Raises ``Note.DoesNotExist``,
    ``OverBudget``.
    """
    with changing_pages_of(user_id):
        shown = reads.tree(share.note_id, user_id=share.note.user_id)
        texts = [topic[name] for chapter in shown["chapters"] for topic in chapter["topics"] for name in _TEXTS]
        named = {UUID(found) for text in texts for found in _ATTACHMENT.findall(text)}
        # Locked, so that no file is deleted before its copy exists.
        originals = Attachment.objects.filter(note=share.note_id, pk__in=named).select_for_update(no_key=True)
        copies = {original.pk: original for original in originals.order_by("pk")}
        ids = {pk: uuid4() for pk in copies}
        note = create_note(user_id=user_id, data=_copied(shown, ids))
        Attachment.objects.bulk_create(
            Attachment(
                pk=ids[pk],
                user_id=user_id,
                note_id=note["id"],
                name=original.name,
                content_type=original.content_type,
                size=original.size,
                file=original.file,
            )
            for pk, original in copies.items()
        )
        charge_user(user_id=user_id, grown=sum(original.size for original in copies.values()))
        return note


_TEXTS = ("explanation", "code")


def _copied(shown: dict[str, Any], ids: dict[UUID, UUID]) -> NoteData:
    def renamed(text: str) -> str:
        return _ATTACHMENT.sub(lambda found: f"/api/attachments/{ids.get(UUID(found[1]), found[1])}/", text)

    return {
        "title": shown["title"],
        "tags": shown["tags"],
        "chapters": [
            {
                "title": chapter["title"],
                "topics": [
                    {
                        **topic,  # type: ignore[typeddict-item]  # the fields of TopicData
                        "explanation": renamed(topic["explanation"]),
                        "code": renamed(topic["code"]),
                    }
                    for topic in chapter["topics"]
                ],
            }
            for chapter in shown["chapters"]
        ],
    }
