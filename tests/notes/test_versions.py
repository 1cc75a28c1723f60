"""Kept versions: when one is made, how many stay, and going back."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from notes import services
from notes.models import Chapter, Note, NoteVersion, Topic
from notes.snapshots import whole_snapshot
from tests.factories import AITaskFactory


def kept():
    return list(NoteVersion.objects.order_by("version").values_list("version", "reason"))


def let_time_pass(minutes):
    NoteVersion.objects.update(created_at=timezone.now() - timedelta(minutes=minutes))


def rename(note, title):
    return services.update_note(user_id=note.user_id, note_id=note.pk, changes={"title": title})


def contents(note):
    """A note's contents without its ids."""
    note = Note.objects.for_detail().get(pk=note.pk)
    return (
        note.title,
        note.status,
        note.tags,
        [
            (chapter.title, chapter.order, [(t.title, t.order, t.explanation, t.sources) for t in chapter.topics.all()])
            for chapter in note.chapters.all()
        ],
    )


def test_an_edit_keeps_what_the_note_was(alice, alice_client, make_note, send):
    note = make_note(alice, 1, title="old", tags=["a"], status="published")
    topic = note.chapters.get().topics.get()

    send(alice_client, "patch", f"/api/topics/{topic.pk}/", {"explanation": "new"})

    page = alice_client.get(f"/api/notes/{note.pk}/versions/").json()
    assert [(row["version"], row["reason"], list(row)) for row in page["results"]] == [
        (1, "edit", ["version", "reason", "created_at"])
    ]
    version = alice_client.get(f"/api/notes/{note.pk}/versions/1/").json()
    assert version["snapshot"] == {
        "title": "old",
        "status": "published",
        "tags": ["a"],
        "chapters": [
            {
                "id": topic.chapter_id,
                "title": "chapter 0",
                "topics": [
                    {
                        "id": topic.pk,
                        "title": "topic 0.0",
                        "explanation": "text 0.0",
                        "code": "",
                        "code_language": "",
                        "sources": [],
                    }
                ],
            }
        ],
    }


def test_each_note_has_its_own_ten_minutes(alice, make_note):
    notes = [make_note(alice) for _ in range(2)]

    for note in notes:
        rename(note, "new")

    assert sorted(NoteVersion.objects.values_list("note_id", "version")) == [(note.pk, 1) for note in notes]


def test_one_version_is_kept_in_ten_minutes_of_editing(alice, make_note):
    note = make_note(alice)

    rename(note, "a")
    rename(note, "b")
    assert kept() == [(1, "edit")]
    let_time_pass(minutes=9)
    rename(note, "c")
    assert kept() == [(1, "edit")]
    let_time_pass(minutes=11)
    rename(note, "d")
    assert kept() == [(1, "edit"), (4, "edit")]


@pytest.mark.parametrize("write", ["create", "update", "delete", "move"])
@pytest.mark.parametrize("kind", ["chapter", "topic"])
def test_every_kind_of_edit_keeps_a_version(alice, make_note, kind, write):
    note = make_note(alice, 2, 0)
    chapter = note.chapters.first()
    user = {"user_id": alice.pk}
    ids = {"chapter_id": chapter.pk} if kind == "chapter" else {"topic_id": chapter.topics.first().pk}
    calls = {
        ("chapter", "create"): lambda: services.create_chapter(**user, note_id=note.pk, title="x"),
        ("chapter", "update"): lambda: services.update_chapter(**user, **ids, title="x"),
        ("chapter", "delete"): lambda: services.delete_chapter(**user, **ids),
        ("chapter", "move"): lambda: services.move_chapter(**user, **ids, order=1),
        ("topic", "create"): lambda: services.create_topic(**user, chapter_id=chapter.pk, data={"title": "x"}),
        ("topic", "update"): lambda: services.update_topic(**user, **ids, changes={"title": "x"}),
        ("topic", "delete"): lambda: services.delete_topic(**user, **ids),
        ("topic", "move"): lambda: services.move_topic(**user, **ids, order=1),
    }
    before = contents(note)

    calls[kind, write]()

    assert contents(note) != before
    services.restore_version(user_id=alice.pk, note_id=note.pk, version=1)
    assert contents(note) == before


def test_the_last_fifty_versions_stay(alice, make_note):
    note = make_note(alice)
    for i in range(55):
        let_time_pass(minutes=11)
        rename(note, f"t{i}")

    assert [version for version, _ in kept()] == list(range(6, 56))


@pytest.mark.parametrize("size", [2, 10, 40])
def test_keeping_and_restoring_cost_the_same_for_a_note_of_any_size(
    alice, alice_client, make_note, send, size, django_assert_num_queries
):
    note = make_note(alice, *[size] * size)
    path = f"/api/notes/{note.pk}/"
    alice_client.get("/api/tags/")

    # A savepoint's two; the claim, its version; the note read, its kept topics found and stored, the note kept, old
    # versions dropped; the change, the user's total; the answer.
    with django_assert_num_queries(15):
        send(alice_client, "patch", path, {"title": "new"})
    services.delete_chapter(user_id=alice.pk, chapter_id=note.chapters.first().pk)
    with django_assert_num_queries(29):  # one of them looks for cards of what changed
        send(alice_client, "post", f"{path}versions/1/restore/")


def test_a_restoration_gives_back_everything_and_can_be_undone(alice, alice_client, make_note, send):
    note = make_note(alice, 3, 1, title="old", tags=["a"])
    before = contents(note)
    rename(note, "new")
    first, second = note.chapters.all()
    gone, moved, changed = first.topics.all()
    services.delete_topic(user_id=alice.pk, topic_id=gone.pk)
    services.move_topic(user_id=alice.pk, topic_id=moved.pk, chapter_id=second.pk, order=0)
    services.update_topic(user_id=alice.pk, topic_id=changed.pk, changes={"explanation": "changed"})
    services.delete_chapter(user_id=alice.pk, chapter_id=first.pk)
    services.create_chapter(user_id=alice.pk, note_id=note.pk, title="later", order=0)
    after = contents(note)

    response = send(alice_client, "post", f"/api/notes/{note.pk}/versions/1/restore/")

    assert (response.status_code, response.json()["version"], response["ETag"]) == (200, 8, '"8"')
    assert response.json()["title"] == "old"
    assert contents(note) == before
    assert alice_client.get(f"/api/notes/{note.pk}/").json() == response.json()
    assert kept() == [(1, "edit"), (7, "restore")]
    send(alice_client, "post", f"/api/notes/{note.pk}/versions/7/restore/")
    assert contents(note) == after
    assert kept() == [(1, "edit"), (7, "restore"), (8, "restore")]


def test_what_is_still_there_keeps_its_id_and_its_ai_tasks(alice, make_note):
    note = make_note(alice, 2, 1)
    topic, gone = note.chapters.first().topics.all()
    task = AITaskFactory(user=alice, topic=topic)
    second = note.chapters.last()
    services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=second.pk, order=0)
    services.delete_topic(user_id=alice.pk, topic_id=gone.pk)

    services.restore_version(user_id=alice.pk, note_id=note.pk, version=1)

    restored = Topic.objects.get(pk=topic.pk)
    assert (restored.chapter_id, restored.order) == (note.chapters.first().pk, 0)
    task.refresh_from_db()
    assert task.topic_id == topic.pk
    assert Topic.objects.filter(chapter__note=note).count() == 3


def test_a_part_moved_to_another_note_stays_there_and_is_restored_as_a_copy(alice, make_note):
    note, other = make_note(alice, 1), make_note(alice, 0)
    topic = note.chapters.get().topics.get()
    services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.chapters.get().pk, order=0)
    services.move_chapter(user_id=alice.pk, chapter_id=note.chapters.get().pk, note_id=other.pk, order=0)

    services.restore_version(user_id=alice.pk, note_id=note.pk, version=1)

    topic.refresh_from_db()
    assert topic.chapter.note_id == other.pk
    assert Chapter.objects.filter(note=other).count() == 2
    copy = note.chapters.get().topics.get()
    assert (copy.title, copy.explanation) == (topic.title, topic.explanation)


def test_a_restoration_honours_if_match(alice, alice_client, make_note, send):
    note = make_note(alice)
    rename(note, "new")
    path = f"/api/notes/{note.pk}/versions/1/restore/"

    assert send(alice_client, "post", path, If_Match='"1"').status_code == 412
    assert send(alice_client, "post", path, If_Match='"2"').status_code == 200


@pytest.mark.parametrize("version", ["2", "0", "99999999999", "abc"])
def test_a_version_that_was_not_kept_is_not_found(alice, alice_client, make_note, send, version):
    note = make_note(alice)
    rename(note, "new")

    for method, path in (("get", version), ("post", f"{version}/restore")):
        assert send(alice_client, method, f"/api/notes/{note.pk}/versions/{path}/").status_code == 404
    assert Note.objects.get().version == 2


def test_a_note_without_versions_has_an_empty_list(alice, alice_client, make_note):
    note = make_note(alice)

    assert alice_client.get(f"/api/notes/{note.pk}/versions/").json()["results"] == []
    assert alice_client.get(f"/api/notes/{note.pk + 1}/versions/").status_code == 404


@pytest.mark.parametrize("count", [1, 10, 50])
def test_the_list_costs_one_query_and_loads_no_snapshots(
    alice, alice_client, make_note, count, django_assert_num_queries
):
    note = make_note(alice)
    NoteVersion.objects.bulk_create(
        NoteVersion(note=note, version=i, reason="edit", snapshot={}) for i in range(1, count + 1)
    )
    alice_client.get("/api/tags/")

    with django_assert_num_queries(1) as queries:
        rows = alice_client.get(f"/api/notes/{note.pk}/versions/?page_size=100").json()["results"]

    assert [row["version"] for row in rows] == list(range(count, 0, -1))
    assert "snapshot" not in queries[0]["sql"]


class TestAnswersOfAI:
    @pytest.fixture
    def topic(self, alice, make_note):
        topic = make_note(alice, 2).chapters.get().topics.first()
        topic.code, topic.code_language = "x = 1", "python"
        topic.save(update_fields=["code", "code_language"])
        return topic

    def apply(self, topic, user, *texts, **answer):
        return services.apply_ai_answer(
            user_id=user.pk, topic_id=topic.pk, expected_hash=services.text_hash(*texts), **answer
        )

    def test_an_explanation_is_replaced_and_the_note_before_kept(self, alice, topic):
        rename(topic.chapter.note, "kept a version a moment ago")

        assert self.apply(topic, alice, "text 0.0", explanation="better") is True

        topic.refresh_from_db()
        assert (topic.explanation, topic.code) == ("better", "x = 1")
        assert kept() == [(1, "edit"), (2, "ai")]
        snapshot = whole_snapshot(NoteVersion.objects.get(version=2))
        assert snapshot["chapters"][0]["topics"][0]["explanation"] == "text 0.0"
        assert Note.objects.get().version == 3

    def test_code_is_replaced_with_its_language(self, alice, topic):
        assert self.apply(topic, alice, "x = 1", "python", code="y", code_language="rust") is True

        topic.refresh_from_db()
        assert (topic.explanation, topic.code, topic.code_language) == ("text 0.0", "y", "rust")

    @pytest.mark.parametrize(
        "answer",
        [
            (("text 0.0 and more",), {"explanation": "better"}),
            (("x = 1", "ruby"), {"code": "y", "code_language": "rust"}),
            (("text 0.0",), {"code": "y", "code_language": "rust"}),
        ],
    )
    def test_text_that_has_changed_is_left_alone(self, alice, topic, answer):
        texts, fields = answer

        assert self.apply(topic, alice, *texts, **fields) is False

        topic.refresh_from_db()
        assert (topic.explanation, topic.code, topic.code_language) == ("text 0.0", "x = 1", "python")
        assert (Note.objects.get().version, kept()) == (1, [])

    def test_a_topic_that_is_gone_in_the_trash_or_anothers_is_left_alone(self, alice, charlie, topic):
        assert self.apply(topic, charlie, "text 0.0", explanation="better") is False
        services.delete_note(user_id=alice.pk, note_id=topic.chapter.note_id)
        assert self.apply(topic, alice, "text 0.0", explanation="better") is False
        assert self.apply(Topic(pk=2**62), alice, "text 0.0", explanation="better") is False
        topic.refresh_from_db()
        assert topic.explanation == "text 0.0"

    def test_a_hash_differs_for_other_texts_and_another_order(self):
        assert services.text_hash("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
        assert len({services.text_hash(*texts) for texts in [("ab",), ("a", "b"), ("b", "a"), ("ab", "")]}) == 4


def test_a_version_is_kept_once(alice, make_note):
    note = make_note(alice)
    NoteVersion.objects.create(note=note, version=1, reason="edit", snapshot={})

    with pytest.raises(IntegrityError):
        NoteVersion.objects.create(note=note, version=1, reason="ai", snapshot={})


def test_the_oldest_version_can_be_restored_although_that_drops_it(alice, make_note):
    note = make_note(alice, title="first")
    for i in range(50):
        let_time_pass(minutes=11)
        rename(note, f"t{i}")

    restored = services.restore_version(user_id=alice.pk, note_id=note.pk, version=1)

    assert restored["title"] == "first"
    assert [kept()[0], kept()[-1]] == [(2, "edit"), (51, "restore")]
