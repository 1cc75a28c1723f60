"""Make missing search vectors, title keys and links of notes, and normalize their tags again."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import F

from notes.models import Chapter, Note, Topic
from notes.search.vectors import words_of_chapter, words_of_note, words_of_topic
from notes.services.budgets import charge_user
from notes.services.links import write_links
from notes.sizes import text_size
from notes.tags import refolded
from notes.title_order import title_key
from utils.database.batching import batch_query
from utils.page_cache.invalidation import forget_pages_of

BATCH_SIZE = 50
TOPIC_BATCH_SIZE = 20
"""Few, as a topic may have some hundred kilobytes."""


class Command(BaseCommand):
    help = (
        "Make missing search vectors, title keys and links of notes, and normalize their tags, in short transactions. "
        "Safe to run and to stop at any time: the next run continues. Until then these notes are found as in the "
        "previous release, and come first in the order by title."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--again",
            action="store_true",
            help="also for all other notes, after writes by the previous release",
        )

    def handle(self, *args: Any, again: bool, **options: Any) -> None:
        notes = Note.objects.all() if again else Note.objects.filter(words=None)
        done = sum(index_notes([note.pk for note in batch]) for batch in batch_query(notes.only("pk"), BATCH_SIZE))
        self.stdout.write(f"Indexed {done} notes.")


def index_notes(note_ids: list[int]) -> int:
    """Index these notes under their locks, which writers take in the same order; return how many."""
    with transaction.atomic():
        locked = Note.objects.filter(pk__in=note_ids).order_by("pk").select_for_update(no_key=True)
        # Later statements see commits made while this process waited for the locks.
        owners = dict(locked.values_list("pk", "user_id"))
        for chapter in Chapter.objects.filter(note__in=owners).only("note_id", "title"):
            words = words_of_chapter(owners[chapter.note_id], title=chapter.title)
            Chapter.objects.filter(pk=chapter.pk).update(words=words)
        topics = Topic.objects.filter(chapter__note__in=owners).select_related("chapter")
        fields = ("title", "explanation", "code")
        for batch in batch_query(topics.only("chapter__note_id", *fields), TOPIC_BATCH_SIZE):
            for topic in batch:
                texts = {name: getattr(topic, name) for name in fields}
                words = words_of_topic(owners[topic.chapter.note_id], **texts)
                Topic.objects.filter(pk=topic.pk).update(words=words)
            _write_links(owners, batch)
        shrunk: dict[int, int] = {}
        for note in Note.objects.filter(pk__in=owners).only("title", "tags"):
            user_id = owners[note.pk]
            tags = refolded(note.tags)
            freed = text_size(*note.tags) - text_size(*tags)
            changes: dict[str, Any] = {"tags": tags, "size_bytes": F("size_bytes") - freed} if tags != note.tags else {}
            words = words_of_note(user_id, title=note.title, tags=tags)
            Note.objects.filter(pk=note.pk).update(
                words=words, words_due_at=None, title_key=title_key(note.title), **changes
            )
            shrunk[user_id] = shrunk.get(user_id, 0) + freed
        for user_id, freed in sorted(shrunk.items()):
            charge_user(user_id=user_id, grown=-freed)
    for user_id in shrunk:
        forget_pages_of(user_id)
    return len(owners)


def _write_links(owners: dict[int, int], topics: Iterable[Topic]) -> None:
    texts: dict[int, dict[int, str]] = {}
    for topic in topics:
        texts.setdefault(owners[topic.chapter.note_id], {})[topic.pk] = topic.explanation
    for user_id, explanations in texts.items():
        write_links(user_id=user_id, texts=explanations)
