"""One change to many notes: all or none, and at the same cost for any number."""

import pytest
from django.utils import timezone

from notes.models import NOTE_MAX_BYTES, Note, NoteVersion, StorageUse
from tests.factories import NoteFactory
from tests.notes.test_trash import counted, total

BULK = "/api/notes/bulk/"


@pytest.fixture
def notes(alice, make_note) -> list[Note]:
    return [make_note(alice, tags=["a"]), make_note(alice, status="published"), make_note(alice, tags=["a", "b"])]


def ids(notes) -> list[int]:
    return [note.pk for note in notes]


def states(notes) -> list[tuple]:
    rows = Note.objects.filter(pk__in=ids(notes)).order_by("pk")
    return [(note.tags, note.status, note.deleted_at is not None, note.version) for note in rows]


def test_a_tag_is_added_where_it_is_missing(alice, alice_client, notes, send):
    response = send(alice_client, "post", BULK, {"ids": ids(notes), "action": "tag", "value": " A "})

    assert (response.status_code, response.json()) == (200, {"changed": 1})
    assert states(notes) == [
        (["a"], "draft", False, 1),
        (["a"], "published", False, 2),
        (["a", "b"], "draft", False, 1),
    ]
    assert alice_client.get("/api/tags/").json() == [{"tag": "a", "count": 3}, {"tag": "b", "count": 1}]
    assert total(alice) == counted(alice)


def test_a_tag_is_removed_where_it_is(alice, alice_client, notes, send):
    response = send(alice_client, "post", BULK, {"ids": ids(notes), "action": "untag", "value": "a"})

    assert response.json() == {"changed": 2}
    assert states(notes) == [([], "draft", False, 2), ([], "published", False, 1), (["b"], "draft", False, 2)]
    assert total(alice) == counted(alice)


def test_the_status_is_set(alice_client, notes, send):
    response = send(alice_client, "post", BULK, {"ids": ids(notes), "action": "status", "value": "published"})

    assert response.json() == {"changed": 2}
    assert [(status, version) for _, status, _, version in states(notes)] == [
        ("published", 2),
        ("published", 1),
        ("published", 2),
    ]


def test_notes_go_into_the_trash_and_come_back(alice_client, notes, send):
    before = alice_client.get("/api/notes/").json()["results"]
    send(alice_client, "delete", f"/api/notes/{notes[0].pk}/")

    trashed = send(alice_client, "post", BULK, {"ids": ids(notes), "action": "trash"})
    listed = alice_client.get("/api/notes/").json()["results"]
    restored = send(alice_client, "post", BULK, {"ids": ids(notes), "action": "restore"})

    assert (trashed.json(), listed, restored.json()) == ({"changed": 2}, [], {"changed": 3})
    assert len(alice_client.get("/api/notes/").json()["results"]) == len(before)
    assert send(alice_client, "post", BULK, {"ids": ids(notes), "action": "restore"}).json() == {"changed": 0}
    assert [version for *_, version in states(notes)] == [3, 3, 3]


def test_what_is_so_already_keeps_its_time(alice_client, notes, send):
    times = list(Note.objects.order_by("pk").values_list("updated_at", flat=True))

    send(alice_client, "post", BULK, {"ids": ids(notes), "action": "status", "value": "published"})

    after = list(Note.objects.order_by("pk").values_list("updated_at", flat=True))
    assert [a == b for a, b in zip(times, after, strict=True)] == [False, True, False]


@pytest.mark.parametrize("action", ["tag", "untag", "status", "trash", "restore"])
def test_a_note_of_somebody_else_is_like_none_and_nothing_changes(
    alice, alice_client, charlie, notes, make_note, send, action
):
    value = {"tag": {"value": "x"}, "untag": {"value": "a"}, "status": {"value": "archived"}}.get(action, {})
    his = make_note(charlie, tags=["a"])
    before = states([*notes, his])

    answers = [
        send(alice_client, "post", BULK, {"ids": [*ids(notes), pk], "action": action, **value}, X_Request_ID="same")
        for pk in (his.pk, 2**62, 2**63, -1)
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert [error["pointer"] for error in answers[0].json()["errors"]] == ["/ids/3"]
    assert len({answer.content for answer in answers}) == 1
    assert states([*notes, his]) == before


@pytest.mark.parametrize(("action", "value"), [("tag", "x"), ("untag", "a"), ("status", "archived")])
def test_notes_in_the_trash_are_not_found_by_edits(alice_client, notes, send, action, value):
    Note.objects.filter(pk=notes[1].pk).update(deleted_at=timezone.now())

    response = send(alice_client, "post", BULK, {"ids": ids(notes), "action": action, "value": value})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (404, "/ids/1")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/action"),
        ({"ids": []}, "/ids"),
        ({"ids": [1, 1]}, "/ids"),
        ({"ids": ["1"]}, "/ids/0"),
        ({"ids": [True]}, "/ids/0"),
        ({"ids": list(range(501))}, "/ids"),
        ({"ids": [1], "action": "delete"}, "/action"),
        ({"ids": [1], "action": "tag"}, "/value"),
        ({"ids": [1], "action": "tag", "value": " "}, "/value"),
        ({"ids": [1], "action": "tag", "value": "a,b"}, "/value"),
        ({"ids": [1], "action": "tag", "value": ["a"]}, "/value"),
        ({"ids": [1], "action": "status", "value": "gone"}, "/value"),
        ({"ids": [1], "action": "trash", "value": "x"}, "/value"),
        ({"ids": [1], "action": "trash", "x": 1}, "/x"),
    ],
)
def test_what_is_no_such_change_is_refused(alice_client, send, body, pointer):
    response = send(alice_client, "post", BULK, body)

    assert response.status_code == 400
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


def test_a_note_with_as_many_tags_as_may_be_keeps_all_from_being_tagged(alice_client, notes, make_note, alice, send):
    full = make_note(alice, tags=[f"t{n}" for n in range(20)])
    body = {"ids": [*ids(notes), full.pk], "action": "tag"}

    refused = send(alice_client, "post", BULK, {**body, "value": "x"})
    fine = send(alice_client, "post", BULK, {**body, "value": "t3"})

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/ids/3")
    assert fine.json() == {"changed": 3}


def test_what_exceeds_a_budget_changes_nothing(alice, alice_client, notes, send, settings):
    Note.objects.filter(pk=notes[2].pk).update(size_bytes=NOTE_MAX_BYTES)
    body = {"ids": ids(notes), "action": "tag", "value": "long"}

    too_large = send(alice_client, "post", BULK, body)
    Note.objects.filter(pk=notes[2].pk).update(size_bytes=10)
    settings.NOTES_BYTES_PER_USER = total(alice) + 11
    full = send(alice_client, "post", BULK, body)
    settings.NOTES_BYTES_PER_USER += 1
    fits = send(alice_client, "post", BULK, body)

    assert [(answer.status_code, answer.json().get("code")) for answer in (too_large, full, fits)] == [
        (413, "note_too_large"),
        (413, "account_full"),
        (200, None),
    ]
    assert too_large.json()["used"] == NOTE_MAX_BYTES
    assert [version for *_, version in states(notes)] == [2, 2, 2]


def test_sizes_that_were_not_counted_are_counted(alice, alice_client, notes, send):
    Note.objects.update(size_bytes=None)
    StorageUse.objects.update(size_bytes=None)

    send(alice_client, "post", BULK, {"ids": ids(notes), "action": "tag", "value": "new"})

    assert total(alice) == counted(alice)


def test_no_version_is_kept(alice_client, notes, send):
    send(alice_client, "post", BULK, {"ids": ids(notes), "action": "status", "value": "archived"})

    assert not NoteVersion.objects.exists()


@pytest.mark.parametrize("count", [1, 10, 500])
@pytest.mark.parametrize(
    ("action", "value", "statements"),
    [("tag", "x", 6), ("untag", "a", 6), ("status", "archived", 4), ("trash", None, 4), ("restore", None, 4)],
)
def test_it_costs_the_same_for_any_number(
    alice, alice_client, warm, send, count, action, value, statements, django_assert_num_queries
):
    deleted_at = timezone.now() if action == "restore" else None
    made = NoteFactory.create_batch(count, user=alice, tags=["a"], deleted_at=deleted_at, size_bytes=1)
    StorageUse.objects.create(user=alice, size_bytes=500)
    warm(alice_client)
    body = {"ids": ids(made), "action": action, **({"value": value} if value else {})}

    # A savepoint's two, the lock, the change; of tags, sizes that are not known and the user's total.
    with django_assert_num_queries(statements):
        response = send(alice_client, "post", BULK, body)

    assert response.json() == {"changed": count}
