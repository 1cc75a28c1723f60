"""``index_notes`` brings notes of earlier releases to today's search, order and spelling of tags."""

from io import StringIO

import pytest
from django.core.management import call_command

from notes import services
from notes.models import Chapter, Note, NoteLink, StorageUse, Topic
from notes.sizes import stored_size


def run(*arguments):
    out = StringIO()
    call_command("index_notes", *arguments, stdout=out)
    return out.getvalue().strip()


def listed(client, query):
    return [row["title"] for row in client.get(f"/api/notes/?{query}").json()["results"]]


@pytest.fixture
def old(alice):
    """Notes as the release before left them."""
    for number, title in enumerate(["note 10", "note 2"]):
        services.create_note(
            user_id=alice.pk,
            data={
                "title": title,
                "tags": ["rocket"],
                "chapters": [{"title": "c", "topics": [{"title": "t", "explanation": f"numpy.array{number}"}]}],
            },
        )
    for model in (Note, Chapter, Topic):
        model.objects.update(words=None)
    tags = ["🚀", "🚀\ufe0f", "a  b", "a b", "a\u200bb", "می‌خواهم"]
    Note.objects.update(title_key="", tags=tags)
    Note.objects.update(size_bytes=stored_size())
    total = sum(Note.objects.values_list(stored_size(), flat=True))
    StorageUse.objects.update(size_bytes=total)
    return Note.objects.order_by("pk").first()


def test_notes_are_found_and_ordered_as_new_ones_are(alice_client, old):
    assert listed(alice_client, "search=array1") == []

    assert run() == "Indexed 2 notes."

    assert listed(alice_client, "search=array1") == ["note 2"]
    assert listed(alice_client, "ordering=title") == ["note 2", "note 10"]
    assert run() == "Indexed 0 notes."
    assert run("--again") == "Indexed 2 notes."


def test_tags_that_read_alike_become_one_and_no_version_is_raised(alice, alice_client, old):
    run()

    note = Note.objects.get(pk=old.pk)
    assert note.tags == ["🚀", "a b", "ab", "می‌خواهم"]
    assert note.version == old.version
    assert note.updated_at == old.updated_at
    assert note.size_bytes == Note.objects.filter(pk=old.pk).values_list(stored_size(), flat=True).get()
    total = sum(Note.objects.values_list(stored_size(), flat=True))
    assert StorageUse.objects.get(user=alice).size_bytes == total
    assert listed(alice_client, "tags=%F0%9F%9A%80%EF%B8%8F") == ["note 2", "note 10"]


def test_a_note_is_never_half_found(alice_client, old, send):
    """A write to a note that is not indexed does not hide what else is in it."""
    send(alice_client, "patch", f"/api/notes/{old.pk}/", {"title": "renamed"})

    assert listed(alice_client, "search=array0") == []
    assert listed(alice_client, "search=numpy.array0") == ["renamed"]
    assert listed(alice_client, "search=renamed") == ["renamed"]
    run()
    assert listed(alice_client, "search=array0") == ["renamed"]


def test_a_run_that_was_stopped_goes_on(old):
    from notes.management.commands.index_notes import index_notes

    index_notes([old.pk])

    assert run() == "Indexed 1 notes."


def test_tags_of_many_notes_are_found_after_a_bulk_change(alice, alice_client):
    ids = [services.create_note(user_id=alice.pk, data={"title": f"n{number}"})["id"] for number in range(3)]

    services.change_notes(user_id=alice.pk, ids=ids[:2], action="tag", value="needle")
    assert listed(alice_client, "search=needle&ordering=title") == ["n0", "n1"]
    services.change_notes(user_id=alice.pk, ids=ids[:1], action="untag", value="needle")

    assert listed(alice_client, "search=needle") == ["n1"]


def test_links_of_old_notes_are_found(alice, charlie, alice_client, charlie_client):
    """Each user's own, and those that an old process has taken out of a text go with ``--again``."""
    made = {}
    for user in (alice, charlie):
        topics = [{"title": "t", "explanation": "See [[note 2]] and [[gone]]."}]
        data = {"title": "note 1", "chapters": [{"title": "c", "topics": topics}]}
        services.create_note(user_id=user.pk, data=data)
        made[user.pk] = services.create_note(user_id=user.pk, data={"title": "note 2"})["id"]
    NoteLink.objects.all().delete()
    for model in (Note, Chapter, Topic):
        model.objects.update(words=None)

    run()

    for user, client in ((alice, alice_client), (charlie, charlie_client)):
        (link,) = client.get(f"/api/notes/{made[user.pk]}/backlinks/").json()["results"]
        assert link["title"] == "note 1"
        assert [link["target"] for link in client.get("/api/links/broken/").json()["results"]] == ["gone"]
    Topic.objects.update(explanation="See [[note 2]].")
    run("--again")
    assert list(NoteLink.objects.values_list("target", flat=True)) == ["note 2", "note 2"]
