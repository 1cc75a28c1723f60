"""Indexing: computes a vector for each passage of the notes that are due.

A row says that a note is due (see ``waiting``), so no work is lost with a message, a worker or Redis. A worker claims a
note with a lease and stores vectors as they arrive; if it dies, another worker continues. A text that the user already
has a vector of, in any note, is not sent again. No transaction and no connection is held during a call.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from ai_tasks.embedding_rows import REFUSED, EmbeddingModel, NoteIndexing, PassageVector
from ai_tasks.embeddings import calls, extension, waiting
from ai_tasks.embeddings.calls import Stopped
from ai_tasks.embeddings.texts import embedded_text
from ai_tasks.providers import embedding_endpoint
from ai_tasks.providers.base import Embeddings, Endpoint
from ai_tasks.providers.errors import ProviderError, UnusableAnswer
from ai_tasks.spending import AIBudgetReached, next_midnight
from notes.blocks.stored import decode, text_digest
from notes.models import Note, Topic
from notes.services import get_blocks

logger = logging.getLogger(__name__)

RUN_SECONDS = 50.0
"""After this time a run starts no further note. Beat starts the next run."""
FAILURES_MAX = 5
TEXTS_MAX = 32
"""Per call; common servers accept no more."""
COPIED_MAX = 200
_CANARY = "The quick brown fox jumps over the lazy dog."

Key = tuple[int, str]
"""A topic's id and the hash of a text in it."""


class FenceLost(Exception):
    """Another worker has claimed the note."""


class DimensionChanged(Exception):
    """The model's vectors have another dimension than before: everything is indexed again."""


class Claim(NamedTuple):
    note_id: int
    attempt: int
    due_at: datetime


def index_due_notes(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Index the due notes one by one, those that are due longest first; return how many were indexed.

    Does nothing without an embeddings provider, without the extension, or during an outage of the provider.
    """
    endpoint = embedding_endpoint()
    if endpoint is None:
        return 0
    if not extension.is_installed():
        logger.warning("Nothing is indexed. %s", extension.MISSING)
        return 0
    waiting.walk(calls.standing_of(endpoint))
    until = time.monotonic() + RUN_SECONDS
    count = 0
    while time.monotonic() < until and not should_stop():
        standing = calls.standing_of(endpoint)
        if calls.is_paused(standing):
            break
        claim = _claim()
        if claim is None:
            break
        count += _Indexing(claim, endpoint, standing, should_stop).carry_out()
    return count


def _lease() -> timedelta:
    """Longer than a call may take; the lease is renewed before each call."""
    return timedelta(seconds=2 * settings.AI_TIMEOUT_SECONDS + 60)


def _claim() -> Claim | None:
    """Claim a due note that no other worker holds."""
    with transaction.atomic():
        free = NoteIndexing.objects.filter(due_at__lte=Now()).exclude(lease_expires_at__gt=Now())
        row = free.select_for_update(skip_locked=True, no_key=True).order_by("due_at").first()
        if row is None or row.due_at is None:
            return None
        was_lost = int(row.lease_expires_at is not None)
        NoteIndexing.objects.filter(pk=row.pk).update(
            attempt=F("attempt") + 1, failures=F("failures") + was_lost, lease_expires_at=Now() + _lease()
        )
    claim = Claim(row.note_id, row.attempt + 1, row.due_at)
    if row.failures + was_lost >= FAILURES_MAX:
        _end(claim, error_code="worker_lost")
        return _claim()
    return claim


def _mine(claim: Claim) -> QuerySet[NoteIndexing]:
    return NoteIndexing.objects.filter(pk=claim.note_id, attempt=claim.attempt)


def _end(claim: Claim, **values: object) -> None:
    """Mark the note as done, unless it was changed after the claim."""
    _mine(claim).filter(due_at=claim.due_at).update(due_at=None, **values)
    _give_back(claim)


def _give_back(claim: Claim) -> None:
    _mine(claim).update(lease_expires_at=None)


class _Indexing:
    """The indexing of one claimed note."""

    def __init__(
        self, claim: Claim, endpoint: Endpoint, standing: EmbeddingModel, should_stop: Callable[[], bool]
    ) -> None:
        self._claim = claim
        self._endpoint = endpoint
        self._standing = standing
        self._should_stop = should_stop

    def carry_out(self) -> bool:
        """Index the note; return whether it is indexed now."""
        try:
            self._index()
        except FenceLost:
            return False
        except AIBudgetReached as reached:
            self._wait_for_tomorrow(reached)
            return False
        except (Stopped, ProviderError, DimensionChanged, IntegrityError) as reason:
            # The provider is unavailable, or a topic was deleted: the note stays due, and the next claim continues.
            logger.info("Note %d stays due: %r", self._claim.note_id, reason)
            _give_back(self._claim)
            return False
        except (OperationalError, InterfaceError):
            raise  # the database is unavailable: another worker claims the note when the lease expires
        except Exception:
            logger.exception("Note %d could not be indexed", self._claim.note_id)
            self._fail()
            return False
        return True

    def _wait_for_tomorrow(self, reached: AIBudgetReached) -> None:
        """The budget is used up: postpone the note, and the user's other due notes, to the next day."""
        logger.info("Note %d is indexed after midnight: %s", self._claim.note_id, reached.detail)
        free = NoteIndexing.objects.filter(due_at__lte=Now()).exclude(lease_expires_at__gt=Now())
        postponed = {"due_at": next_midnight(), "error_code": reached.code}
        owner = Note.objects.filter(pk=self._claim.note_id).values("user_id")
        free.filter(note__user_id__in=owner).update(**postponed)
        _mine(self._claim).filter(due_at=self._claim.due_at).update(**postponed)
        _give_back(self._claim)

    def _fail(self) -> None:
        """Try again later; give up after ``FAILURES_MAX`` failures."""
        _mine(self._claim).update(failures=F("failures") + 1)
        failures = _mine(self._claim).values_list("failures", flat=True).first() or FAILURES_MAX
        if failures >= FAILURES_MAX:
            _end(self._claim, error_code="internal_error")
            return
        later = self._claim.due_at + timedelta(minutes=2**failures)
        _mine(self._claim).filter(due_at=self._claim.due_at).update(due_at=later)
        _give_back(self._claim)

    def _index(self) -> None:
        note_id = self._claim.note_id
        user_id = Note.objects.live().filter(pk=note_id).values_list("user_id", flat=True).first()
        if user_id is None:  # in the trash: ``waiting.walk`` finds it again after a restore
            _mine(self._claim).delete()
            return
        wanted = self._read_texts(user_id)
        topic_ids = list(Topic.objects.filter(chapter__note=note_id).values_list("pk", flat=True))
        rows = PassageVector.objects.filter(topic__in=topic_ids).values_list(
            "pk", "topic_id", "hash", "model", "dimension"
        )
        present: set[Key] = set()
        gone: list[int] = []
        for pk, topic_id, digest, model, dimension in rows:
            is_of_the_model = model == self._standing.name and dimension in (self._standing.dimension, 0)
            if is_of_the_model and (topic_id, digest) in wanted:
                present.add((topic_id, digest))
            else:
                gone.append(pk)
        PassageVector.objects.filter(pk__in=gone).delete()
        missing = [key for key in wanted if key not in present]
        missing = self._copy(missing, user_id)
        for batch in _batches(missing, wanted):
            self._embed(batch, user_id)
        self._finish(topic_ids, len(wanted))

    def _read_texts(self, user_id: int) -> dict[Key, str]:
        """The texts to embed. Topics without blocks get them now."""
        texts: dict[Key, str] = {}
        topics = Topic.objects.filter(chapter__note=self._claim.note_id).exclude(explanation="")
        for topic_id, explanation, stored in topics.values_list("pk", "explanation", "blocks"):
            blocks = decode(stored, explanation)
            if blocks is None:
                try:
                    blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
                except Topic.DoesNotExist:  # deleted just now
                    continue
            for text in filter(None, map(embedded_text, blocks)):
                texts[topic_id, text_digest(text)] = text
        return texts

    def _copy(self, missing: Sequence[Key], user_id: int) -> list[Key]:
        """Copy the vectors of texts that the user has elsewhere; return the keys still missing."""
        known = PassageVector.objects.filter(
            user_id=user_id, model=self._standing.name, dimension__in=(self._standing.dimension, 0)
        )
        left: list[Key] = []
        for start in range(0, len(missing), COPIED_MAX):
            part = missing[start : start + COPIED_MAX]
            found = {row.hash: row for row in known.filter(hash__in={digest for _, digest in part})}
            self._store({key: found[key[1]].vector for key in part if key[1] in found}, user_id)
            left += [key for key in part if key[1] not in found]
        return left

    def _renew(self) -> None:
        if not _mine(self._claim).update(lease_expires_at=Now() + _lease()):
            raise FenceLost

    def _embed(self, batch: dict[Key, str], user_id: int) -> None:
        """Request and store the vectors of some passages.

        If the request is rejected, it is split in half until one text is left; that text is stored as ``REFUSED``.
        """
        texts = list(dict.fromkeys(batch.values()))
        try:
            answer = self._ask(texts, user_id)
        except ProviderError as error:
            if error.code not in calls.ABOUT_THE_TEXT:
                raise
            if len(texts) == 1:
                self._store(self._refused(batch, user_id, error), user_id)
                return
            first = set(texts[: len(texts) // 2])
            for is_first in (True, False):
                self._embed({key: text for key, text in batch.items() if (text in first) is is_first}, user_id)
            return
        self._check_dimension(answer, texts, user_id)
        vector_of = dict(zip(texts, answer.vectors, strict=True))
        self._store({key: vector_of[text] for key, text in batch.items()}, user_id)

    def _refused(self, batch: dict[Key, str], user_id: int, error: ProviderError) -> dict[Key, list[float]]:
        """Find out whether only this text is rejected: if a harmless text is rejected too, the provider is at fault."""
        try:
            self._check_dimension(self._ask([_CANARY], user_id), [_CANARY], user_id)
        except ProviderError as other:
            if other.code in calls.ABOUT_THE_TEXT:
                calls.pause(self._standing, other)
            raise
        logger.warning("A passage of note %d cannot be embedded: %s", self._claim.note_id, error.code)
        return dict.fromkeys(batch, REFUSED)

    def _ask(self, texts: Sequence[str], user_id: int) -> Embeddings:
        self._renew()
        return calls.embed(
            texts,
            user_id=user_id,
            endpoint=self._endpoint,
            standing=self._standing,
            seconds=settings.AI_TIMEOUT_SECONDS,
            should_stop=self._should_stop,
        )

    def _check_dimension(self, answer: Embeddings, texts: Sequence[str], user_id: int) -> None:
        """Handle a new dimension: one such answer is an error; two of the same mean that the model has changed."""
        if answer.dimension == self._standing.dimension:
            return
        if not self._standing.dimension:
            calls.learn_dimension(self._standing, answer.dimension)
            return
        if self._ask(texts[:1], user_id).dimension != answer.dimension:
            error = UnusableAnswer("answer_unreadable", "The AI provider's vectors differ in length.")
            calls.pause(self._standing, error)
            raise error
        calls.learn_dimension(self._standing, answer.dimension)
        raise DimensionChanged

    def _store(self, vectors: dict[Key, list[float]], user_id: int) -> None:
        """One statement. Raises ``IntegrityError`` if a topic or the user was deleted in the meantime."""
        if vectors:
            PassageVector.objects.bulk_create(
                [
                    PassageVector(
                        user_id=user_id,
                        topic_id=topic_id,
                        hash=digest,
                        model=self._standing.name,
                        dimension=0 if vector == REFUSED else len(vector),
                        vector=vector,
                    )
                    for (topic_id, digest), vector in vectors.items()
                ],
                ignore_conflicts=True,
            )

    def _finish(self, topic_ids: Sequence[int], passages: int) -> None:
        skipped = PassageVector.objects.filter(topic__in=topic_ids, dimension=0).count()
        _end(
            self._claim,
            model=self._standing.name,
            dimension=self._standing.dimension,
            passages=passages,
            skipped=skipped,
            indexed_at=timezone.now(),
            failures=0,
            error_code="",
        )


def _batches(missing: Sequence[Key], texts: dict[Key, str]) -> Iterator[dict[Key, str]]:
    """The missing texts, ``TEXTS_MAX`` at a time; keys with equal texts stay together."""
    keys_of: dict[str, list[Key]] = {}
    for key in missing:
        keys_of.setdefault(texts[key], []).append(key)
    distinct = list(keys_of)
    for start in range(0, len(distinct), TEXTS_MAX):
        yield {key: text for text in distinct[start : start + TEXTS_MAX] for key in keys_of[text]}
