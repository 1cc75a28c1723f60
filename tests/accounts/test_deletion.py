from threading import Event
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session as AdminSession
from django.db import OperationalError, connection
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from accounts.models import PasswordReset, SecondFactor, Session, User
from accounts.services import deletion
from ai_tasks.embedding_rows import EmbeddingModel, EmbeddingUse, NoteIndexing, PassageVector
from ai_tasks.models import AITask, ProviderState, SpendingDay
from ai_tasks.progress import Progress, report
from ai_tasks.worker import Worker
from notes.models import Chapter, KeptTopic, Note, NoteLink, NoteVersion, Share, StorageUse, Topic
from notes.transfers import NoteExport, NoteImport, NoteSource
from notifications import inbox, services
from notifications.models import Notification
from notifications.quarantine import QUARANTINE_KEY
from study.services import Review, create_quiz, create_recall, record_reviews
from tests.accounts.conftest import PASSWORD
from tests.conftest import client_of
from tests.database_faults import refusing
from tests.factories import (
    AITaskFactory,
    AttachmentFactory,
    CardFactory,
    ChapterFactory,
    ExamFactory,
    NoteFactory,
    NotificationFactory,
    ProposalFactory,
    SessionFactory,
    TopicFactory,
    UserFactory,
)
from tests.openai_behaviours import BEHAVIOURS
from utils import personal_data
from utils.database.batching import deleted_batches
from utils.models import FileToDelete, IdempotencyRecord, PendingEpochBump

DELETE = "/api/users/me/delete/"


def fill(user: User) -> None:
    """Give the user some of everything."""
    for note in NoteFactory.create_batch(3, user=user):
        topic = TopicFactory(chapter=ChapterFactory(note=note))
        NoteVersion.objects.create(note=note, version=1, snapshot={}, reason="edit")
        AttachmentFactory(note=note)
        NoteImport.objects.create(user=user, name="a.md").files.create(position=0, name="a.md", note=note)
        NoteSource.objects.create(user=user, path_hash=str(note.pk), path="a.md", note=note, note_version=1)
        NoteExport.objects.create(user=user, note=note, note_version=1)
        Share.objects.create(note=note, slug=f"slug-of-{note.pk}")
        KeptTopic.objects.create(note=note, topic=topic.pk, digest="0" * 32, content={})
        AITaskFactory(user=user, topic=topic, retry_of=AITaskFactory(user=user))
        ProposalFactory(topic=topic)
    ExamFactory.create_batch(3, user=user)
    NotificationFactory.create_batch(3, user=user)
    PasswordReset.objects.create(user=user)
    SessionFactory.create_batch(3, user=user)
    SecondFactor.objects.create(user=user, seed="0" * 32, last_step=1, recovery_codes=["1" * 64])
    PendingEpochBump.objects.create()
    FileToDelete.objects.create(name="attachments/00/0")
    ProviderState.objects.get_or_create(name="b")
    SpendingDay.objects.get_or_create(day="2026-11-23", defaults={"amount": 0})
    StorageUse.objects.create(user=user)
    NoteLink.objects.create(user=user, topic=topic, target="Loops", key="loops")
    for card in [CardFactory(user=user) for _ in range(3)]:
        review = Review(uuid4(), card.pk, 1, "good", timezone.now(), None)
        record_reviews(user_id=user.pk, reviews=[review])
        create_quiz(user_id=user.pk, note_ids=[topic.chapter.note_id], tags=[], count=1, kinds=["gap"], language="")
        create_recall(user_id=user.pk, topic_id=topic.pk, text="x")
    PassageVector.objects.create(user=user, topic=topic, hash="0" * 32, model="m", dimension=2, vector=[0.6, 0.8])
    NoteIndexing.objects.create(note=topic.chapter.note, model="m", dimension=2)
    EmbeddingModel.objects.get_or_create(name="m")
    EmbeddingUse.objects.create(user=user, day="2026-11-23")
    IdempotencyRecord.objects.create(user=user, route="notes", key="1", body_hash=b"", status=201, body=b"")


OF_NO_USER = (PendingEpochBump, FileToDelete, ProviderState, SpendingDay, EmbeddingModel)
OURS = ("accounts", "notes", "ai_tasks", "study", "notifications", "utils")


def our_models() -> list[type[Model]]:
    return [model for model in apps.get_models() if model._meta.app_label in OURS and model not in OF_NO_USER]


def rows_of_everything() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in our_models()}


def test_fill_fills_every_table(alice):
    fill(alice)

    empty = [name for name, count in rows_of_everything().items() if not count]
    assert not empty, (
        f"{empty}: let fill() above make rows of each new model, and name them in the rows= of its app's "
        "personal_data.py, so that the tests here see them exported, deleted and shown in the admin."
    )


def test_every_table_is_named_in_the_personal_data_of_its_app(alice):
    """Its rows then go in batches; a cascade from the user's row would take them all at once."""
    named = {rows.queryset.model for part in personal_data.parts() for rows in part.rows(alice.pk)}

    cascades = [model.__name__ for model in our_models() if model not in named and model is not User]
    assert not cascades, (
        f"{cascades}: name the user's rows of each in _rows() of its app's personal_data.py, before what they point to."
    )


def test_every_table_is_exported_or_named_with_the_reason_why_it_is_not():
    exported = [model for part in personal_data.parts() for model in part.exported]
    withheld = {model: reason for part in personal_data.parts() for model, reason in part.withheld.items()}

    unnamed = [model.__name__ for model in our_models() if model not in exported and model not in withheld]
    assert not unnamed, f"{unnamed}: name each in exported= of its app with its file, or in withheld= with a reason."
    both = [model.__name__ for model in exported if model in withheld]
    assert not both, f"{both}: name each in exported= or in withheld= of its app's personal_data.py, not in both."
    unexplained = [model.__name__ for model, reason in withheld.items() if len(reason) <= 10]
    assert not unexplained, f"{unexplained}: say in withheld= why each is not exported."


def test_what_is_said_to_be_exported_is(alice):
    """Each row of these tables has something in the archive that is gone without it."""
    fill(alice)
    exported = {model for part in personal_data.parts() for model in part.exported}
    # What points to others goes first, so no cascade empties a table before its turn.
    in_order = [rows.queryset.model for part in reversed(personal_data.parts()) for rows in part.rows(alice.pk)]
    not_deleted = [model.__name__ for model in exported - {*in_order, User}]
    assert not not_deleted, f"{not_deleted}: name the rows of each in rows= of its app's personal_data.py, too."

    def archive():
        return {name: b"".join(pieces) for part in personal_data.parts() for name, pieces in part.files(alice.pk)}

    for model in [*in_order, User]:
        if model not in exported:
            continue
        before = archive()
        if model is User:
            User.objects.filter(pk=alice.pk).update(name="Somebody else")
        else:
            model._default_manager.order_by("-pk").first().delete()
        assert archive() != before, f"No file of the export changes with the rows of {model.__name__}."


def test_everything_of_the_user_goes_and_nothing_else(alice, charlie, committing, monkeypatch):
    monkeypatch.setattr(deletion, "BATCH_SIZE", 2)
    fill(charlie)
    before = rows_of_everything()
    fill(alice)
    client = client_of(alice)

    with committing():
        response = client.post(DELETE, {"password": PASSWORD}, format="json")

    assert (response.status_code, response.content) == (204, b"")
    assert rows_of_everything() == before | {"User": 1}
    assert client.get("/api/users/me/").status_code == 401
    login = {"email": alice.email, "password": PASSWORD}
    assert client.post("/api/auth/login/", login, format="json").status_code == 401


def test_a_wrong_password_deletes_nothing(alice, alice_client):
    fill(alice)
    before = rows_of_everything()

    response = alice_client.post(DELETE, {"password": "wrong"}, format="json")

    assert (response.status_code, response.json()["code"]) == (400, "wrong_password")
    assert response.json()["errors"][0]["pointer"] == "/password"
    assert rows_of_everything()["Note"] == before["Note"]
    assert alice_client.get("/api/users/me/").status_code == 200


def test_the_address_is_free_again(client, alice, alice_client, committing):
    with committing():
        alice_client.post(DELETE, {"password": PASSWORD}, format="json")

    body = {"email": alice.email, "name": "", "password": "a rather long secret"}
    assert client.post("/api/auth/register/", body, format="json").status_code == 201


def test_every_statement_is_bounded(alice):
    NoteFactory.create_batch(5, user=alice)

    batches = list(deleted_batches(Note.objects.filter(user=alice), batch_size=2))

    assert [len(ids) for ids in batches] == [2, 2, 1]
    assert not Note.objects.exists()


def test_no_text_is_loaded_to_be_deleted(alice, django_assert_num_queries):
    chapter = ChapterFactory(note=NoteFactory(user=alice))
    TopicFactory.create_batch(3, chapter=chapter)

    # The batch's keys, SAVEPOINT, its rows, the AI tasks that point to them, DELETE, RELEASE, no more keys. A new model
    # that points to topics adds one.
    with django_assert_num_queries(8) as queries:
        list(deleted_batches(Topic.objects.filter(chapter=chapter), batch_size=100))

    assert not [query for query in queries.captured_queries if "explanation" in query["sql"]]


@pytest.mark.django_db(transaction=True)
def test_cut_off_half_way_the_user_can_finish_it(client, alice):
    fill(alice)

    with refusing("BEFORE DELETE", "notes_note", sqlstate="ended"), pytest.raises(OperationalError):
        deletion.delete_account(user_id=alice.pk)
    connection.close()
    assert (AITask.objects.exists(), Note.objects.exists()) == (False, True)

    login = {"email": alice.email, "password": PASSWORD}
    access = client.post("/api/auth/login/", login, format="json").json()["access"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    assert client.post(DELETE, {"password": PASSWORD}, format="json").status_code == 204
    assert not User.objects.exists()
    assert not any(model.objects.exists() for model in (Session, Chapter, AITask, Notification))


@pytest.fixture
def caught_in_the_act(alice, transactional_db, warm):
    """A client whose request was let in when the account was deleted: its session is still believed."""
    client = client_of(alice)
    warm(client)
    alice.delete()
    return client


def refusal(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("key", [{}, {"HTTP_IDEMPOTENCY_KEY": "1"}])
def test_a_note_that_is_made_meanwhile_belongs_to_nobody(caught_in_the_act, key):
    response = caught_in_the_act.post("/api/notes/", {"title": "Late"}, format="json", **key)

    assert refusal(response) == (404, "not_found")
    assert not Note.objects.exists()


def test_an_export_that_begins_too_late_is_no_broken_archive(caught_in_the_act):
    assert refusal(caught_in_the_act.get("/api/users/me/export/")) == (404, "not_found")


@pytest.mark.django_db(transaction=True)
def test_redis_keeps_nothing_of_the_user(alice, charlie, empty_redis):
    """All that is left is a mark against tokens that are still out, and counts of attempts, without a name."""
    client = client_of(alice)
    client.get("/api/users/me/")
    client_of(charlie).get("/api/users/me/")
    theirs = {*empty_redis.keys(f"*:{charlie.pk}"), *empty_redis.keys(f"*:{charlie.pk}:*")}
    assert empty_redis.keys(f"page:*:{alice.pk}:*")
    task = AITaskFactory(user=alice)
    report([Progress(task.pk, alice.pk, 1, 50, "Half of Alice's answer")])
    entry = Notification(user_id=alice.pk, title="For Alice")
    empty_redis.hset(inbox.entries_key(alice.pk), str(entry.pk), entry.title)

    assert client.post(DELETE, {"password": PASSWORD}, format="json").status_code == 204

    kept = (b"auth:", b"login:", b"limit:", b"ai:live:", b"pages:epoch", b"pages:run")
    books = {b"pages:bytes", b"pages:sizes", b"pages:stored"}
    left = set(empty_redis.keys("*")) - theirs - books
    assert not {key for key in left if not key.startswith(kept)}
    assert set(empty_redis.zrange("pages:stored", 0, -1)) == set(empty_redis.hkeys("pages:sizes")) <= theirs
    assert not empty_redis.keys(f"limit:*:{alice.pk}")
    assert empty_redis.hget(f"ai:live:{task.pk}", "message") == b""
    assert theirs <= set(empty_redis.keys("*"))
    assert all(empty_redis.ttl(key) > 0 for key in left if not key.startswith(b"pages:"))


def test_the_admins_log_forgets_the_address(alice, charlie, committing):
    operator = UserFactory(email="root@example.com", is_staff=True)
    admin = Client()
    admin.force_login(operator)
    for user in (alice, charlie):
        LogEntry.objects.log_actions(operator.pk, User.objects.filter(pk=user.pk), CHANGE)

    with committing():
        admin.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"})

    said = {(entry.object_id, entry.action_flag): entry.object_repr for entry in LogEntry.objects.all()}
    assert said == {
        (str(alice.pk), CHANGE): "",
        (str(alice.pk), DELETION): "",
        (str(charlie.pk), CHANGE): "charlie@example.com",
    }


@pytest.mark.django_db
def test_an_operators_admin_sessions_go_with_the_account(empty_redis, monkeypatch):
    monkeypatch.setattr(deletion, "BATCH_SIZE", 2)
    operator, other = UserFactory.create_batch(2, is_staff=True)
    for user in (operator, other, operator, other, operator):
        Client().force_login(user)
    assert (AdminSession.objects.count(), len(empty_redis.keys("cache:*"))) == (5, 5)

    deletion.delete_account(user_id=operator.pk)

    assert [row.get_decoded()[SESSION_KEY] for row in AdminSession.objects.all()] == [str(other.pk)] * 2
    assert len(empty_redis.keys("cache:*")) == 2


@pytest.mark.django_db
def test_an_operator_may_delete_themselves_in_the_admin(committing):
    operator = UserFactory(is_staff=True)
    admin = Client()
    admin.force_login(operator)

    with committing():
        response = admin.post(f"/admin/accounts/user/{operator.pk}/delete/", {"post": "yes"})

    assert response.status_code == 302
    assert not User.objects.exists()


def test_the_quarantine_of_notifications_forgets_the_user(alice, charlie, empty_redis):
    for user_id in (alice.pk, charlie.pk, alice.pk):
        empty_redis.xadd(inbox.OUTBOX_KEY, {"user_id": user_id, "body": "Alice's, but no JSON"})
    services.drain()
    assert empty_redis.xlen(QUARANTINE_KEY) == 3

    deletion.delete_account(user_id=alice.pk)

    assert [fields[b"user_id"] for _, fields in empty_redis.xrange(QUARANTINE_KEY)] == [str(charlie.pk).encode()]


@pytest.mark.django_db(transaction=True)
def test_a_running_ai_task_ends_without_effect_and_without_an_error(
    alice, empty_redis, openai_server, monkeypatch, caplog
):
    task = AITaskFactory(user=alice)
    deleted = Event()

    def answer_a_deleted_user(handler, body) -> None:
        deletion.delete_account(user_id=alice.pk)
        connection.close()  # of the server's thread
        deleted.set()
        BEHAVIOURS["stream"](handler, body)

    monkeypatch.setitem(BEHAVIOURS, "late", answer_a_deleted_user)
    openai_server.state.default = "late"
    Worker().execute(task.pk)  # which may end as soon as the task's row is gone, before the user's

    assert len(openai_server.state.requests) == 1
    assert deleted.wait(60)
    assert not any(model.objects.exists() for model in (User, AITask, Notification))
    assert empty_redis.keys("ai:events:*") == empty_redis.keys("events:*") == []
    assert empty_redis.hget(f"ai:live:{task.pk}", "message") == b""
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


def test_deletion_works_without_redis(alice, dead_redis):
    fill(alice)

    assert client_of(alice).post(DELETE, {"password": PASSWORD}, format="json").status_code == 204
    assert not User.objects.exists()
