"""Byte budgets are exact: with many writes at once, and after the command that counts."""

from contextlib import suppress
from io import StringIO

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.core.management import call_command

from notes import services
from notes.models import Note, Topic
from notes.services import text_hash
from tests.ai_tasks.conftest import in_threads
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.notes.sizes import PIECE, assert_sizes_are_those_of_a_recount, size_of, total_of
from utils.page_cache.invalidation import changing_pages_of


@pytest.mark.django_db(transaction=True)
def test_writes_at_once_add_up_and_never_pass_the_limit(alice, settings, patient_pool):
    """Also the first ones, which all find that nothing is counted yet."""
    notes = NoteFactory.create_batch(8, user=alice, title="12345")
    settings.NOTES_BYTES_PER_USER = 8 * 5 + 50

    def write(index: int) -> int:
        written = 0
        for length in range(1, 6):
            try:
                services.update_note(
                    user_id=alice.pk, note_id=notes[index].pk, changes={"title": "12345" + 2 * length * "x"}
                )
            except services.AccountFull:
                continue
            written += 2
        return written

    written = in_threads(8, write)

    assert sum(written) == 50
    count_bytes()  # a note whose writes were all refused is not counted yet
    assert total_of(alice) == settings.NOTES_BYTES_PER_USER
    assert_sizes_are_those_of_a_recount(alice)


@pytest.mark.django_db(transaction=True)
def test_writes_of_every_kind_at_once_never_pass_a_notes_limit(alice, monkeypatch, patient_pool):
    """Edits, moves to and fro, restorations and answers, all to two notes that are nearly full."""
    monkeypatch.setattr("notes.services.budgets.NOTE_MAX_BYTES", 1000)
    notes = [NoteFactory(user=alice, title=f"note {number}") for number in range(2)]
    chapters = [ChapterFactory(note=note, title="chapter") for note in notes]
    topics = [TopicFactory(chapter=chapter, title=f"t{order}", explanation=200 * "x", code="", sources=[], order=order)
              for chapter in chapters for order in range(4)]  # fmt: skip
    for note in notes:
        services.update_note(user_id=alice.pk, note_id=note.pk, changes={"title": "first edit"})  # keeps version 1
    most = []

    def write(number: int, at: int) -> None:
        topic, there, text = topics[(5 * number + at) % 8], (number + at) % 2, (40 * at % 300) * "y"
        match number % 6:
            case 0:
                services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"code": text})
            case 1:
                services.move_topic(user_id=alice.pk, topic_id=topic.pk, order=0, chapter_id=chapters[there].pk)
            case 2:
                services.restore_version(user_id=alice.pk, note_id=notes[there].pk, version=1)
            case 3:
                data = {"title": "new", "explanation": text}
                services.create_topic(user_id=alice.pk, chapter_id=chapters[there].pk, data=data)
            case 4:
                before = text_hash(Topic.objects.get(pk=topic.pk).explanation)
                with changing_pages_of(alice.pk):
                    services.apply_ai_answer(
                        user_id=alice.pk, topic_id=topic.pk, expected_hash=before, explanation=text
                    )
            case 5:
                services.move_chapter(
                    user_id=alice.pk, chapter_id=chapters[there].pk, order=0, note_id=notes[at % 2].pk
                )

    def work(number: int) -> None:
        for at in range(12):
            # The last two: another thread was there first.
            with suppress(services.NoteTooLarge, services.MovedMeanwhile, ObjectDoesNotExist):
                write(number, at)
            most.extend(Note.objects.values_list("size_bytes", flat=True))

    in_threads(6, work)

    assert max(most) <= 1000
    assert_sizes_are_those_of_a_recount(alice)
    with pytest.raises(services.NoteTooLarge):
        services.create_chapter(user_id=alice.pk, note_id=notes[0].pk, title=300 * "😀")  # 1,200 bytes


@pytest.mark.django_db(transaction=True)
def test_counting_while_others_write_misses_nothing(alice, patient_pool):
    notes = NoteFactory.create_batch(20, user=alice, title="title")

    def work(index: int) -> None:
        if index == 0:
            count_bytes("--again")
        else:
            for note in notes[index::3]:
                services.create_chapter(user_id=alice.pk, note_id=note.pk, title="ü")

    in_threads(4, work)

    assert_sizes_are_those_of_a_recount(alice)


def count_bytes(*arguments: str) -> str:
    output = StringIO()
    call_command("count_bytes", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_counts_what_is_not_known_and_goes_on_where_it_stopped(alice, charlie, make_note):
    NoteFactory.create_batch(3, user=alice, title="title")
    TopicFactory(chapter__note__user=charlie, chapter__note__title="n", chapter__title="c", title="t", code="ü")
    NoteFactory(user=charlie, title="known", size_bytes=5)

    assert count_bytes() == "Counted 4 notes and 2 users.\n"
    assert count_bytes() == "Counted 0 notes and 0 users.\n"

    for user, total in ((alice, 15), (charlie, 10)):
        assert total_of(user) == total
        assert_sizes_are_those_of_a_recount(user)


def test_the_command_counts_again_what_a_process_of_the_release_before_wrote(alice, make_note):
    note = make_note(alice, 1)
    Topic.objects.update(explanation=PIECE)
    NoteFactory(user=alice, title="new")
    assert size_of(note) < 100

    assert count_bytes("--again") == "Counted 2 notes and 1 users.\n"

    assert_sizes_are_those_of_a_recount(alice)
