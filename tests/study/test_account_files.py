"""The export of an account, imported into another one: the same notes, cards and schedules."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from accounts.models import User
from notes.models import Attachment, Note, Topic
from notes.services import add_attachment, create_note, get_blocks, imports, purge_orphans, update_topic
from notes.transfers import NoteImport
from study import services
from study.account_files import NOT_MOVED
from study.models import MEMORY, Card, Exam, Face, StudyEvent
from study.services import Review
from tests.conftest import Interrupted, client_of
from tests.database_faults import barrier, in_background
from tests.factories import UserFactory
from tests.files.images import saved

IMPORTS = "/api/notes/imports/"


@pytest.fixture(autouse=True)
def _stored(files: Any, no_limits: None) -> None:
    """There is a storage, and no limit of requests."""


def add_note(user: User, title: str = "Cells") -> Topic:
    topics = [{"title": "Mitochondria", "explanation": "They make ATP.\n\nThey have a membrane.\n"}]
    note = create_note(user_id=user.pk, data={"title": title, "chapters": [{"title": "Organelles", "topics": topics}]})
    return Topic.objects.get(chapter__note=note["id"])


def add_card(user: User, **data: Any) -> Card:
    data = {"kind": "basic", "front": "What do they make?", "back": "ATP", "tags": ["cells"]} | data
    return services.create_card(user_id=user.pk, data=data).card


def study(user: User, card: Card, days: int) -> None:
    """Review a card on each of so many days, the last one yesterday."""
    first = timezone.now() - timedelta(days=days)
    Card.objects.filter(pk=card.pk).update(created_at=first - timedelta(days=1))
    for day in range(days):
        for n in card.faces.values_list("n", flat=True):
            review = Review(uuid4(), card.pk, n, ("good", "again", "easy")[day % 3], first + timedelta(days=day), 900)
            services.record_reviews(user_id=user.pk, reviews=[review])


def export_of(user: User) -> bytes:
    response = client_of(user).get("/api/users/me/export/")
    return b"".join(response.streaming_content)


def add_exam(user: User, **data: Any) -> Exam:
    at = timezone.now().replace(microsecond=0) + timedelta(days=30)
    values = {"title": "Exam", "at": at, "note_ids": [], "tags": [], "minutes_per_day": [30] * 7, "target": 0.85}
    return services.create_exam(user_id=user.pk, data=values | data)


def exams_of(user: User) -> list[tuple[Any, ...]]:
    columns = ("title", "at", "time_zone", "tags", "minutes_per_day", "target", "created_at", "updated_at", "version")
    return list(Exam.objects.filter(user=user).order_by("created_at").values_list(*columns))


def report_of(user: User, archive: bytes) -> dict[str, tuple[str, list[str]]]:
    """Import it by a worker; what became of each file, and what is told of it."""
    client = client_of(user)
    response = client.post(IMPORTS, {"file": SimpleUploadedFile("account.zip", archive)}, format="multipart")
    imports.carry_out_import(response.json()["id"])
    job = client.get(response["Location"]).json()
    assert job["status"] == "succeeded", job
    return {file["name"]: (file["outcome"], file["warnings"]) for file in job["report"]["files"]}


def schedules(user: User) -> list[tuple[Any, ...]]:
    """Everything of the user's cards that is no id, with the schedule of each face."""
    faces = Face.objects.filter(user=user).select_related("card").order_by("card__front", "n")
    shown = (
        "kind", "front", "back", "tags", "proposed", "suspended", "suspended_as_leech", "stale", "orphan", "created_at",
    )  # fmt: skip
    return [
        (
            *(getattr(face.card, name) for name in shown),
            *(getattr(face, name) for name in ("n", "active", "buried_until", *MEMORY)),
        )
        for face in faces
    ]


def log_of(user: User) -> list[tuple[Any, ...]]:
    shown = ("event_id", "face", "kind", "rating", "reviewed_at", "received_at", "duration_ms", "settings", "predicted")
    return list(StudyEvent.objects.owned_by(user.pk).order_by("reviewed_at", "event_id").values_list(*shown))


def with_rows(name: str, rows: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, rows if isinstance(rows, str) else json.dumps(rows))
    return buffer.getvalue()


def rows_of(archive: bytes, name: str) -> Any:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return json.loads(opened.read(name))


@pytest.fixture
def full(alice: User) -> User:
    """Alice with a note and its picture, cards of all kinds with their histories, and settings of her own."""
    topic = add_note(alice)
    services.update_settings(user_id=alice.pk, changes={"desired_retention": 0.85, "time_zone": "Asia/Tokyo"})
    picture = add_attachment(user_id=alice.pk, note_id=topic.chapter.note_id, name="a.png", content=saved("PNG"))
    text = f"{topic.explanation}\n![a]({picture.path})\n"
    update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": text})
    passage = get_blocks(user_id=alice.pk, topic_id=topic.pk).blocks[1]
    study(alice, add_card(alice, front="1 tied", topic_id=topic.pk, block_id=passage.id), 12)
    study(alice, add_card(alice, front="2 reversed", kind="reversed"), 4)
    study(alice, add_card(alice, front="3 {{c1::cloze}} {{c2::card}}", kind="cloze", topic_id=topic.pk), 3)
    add_card(alice, front=f"4 new ![a]({picture.path})")
    services.suspend_card(user_id=alice.pk, card_id=add_card(alice, front="5 suspended").pk, suspended=True)
    services.propose_cards(user_id=alice.pk, cards=[{"kind": "basic", "front": "6 proposed", "back": "b", "tags": []}])
    reset = add_card(alice, front="7 reset")
    study(alice, reset, 5)
    services.reset_card(user_id=alice.pk, card_id=reset.pk)
    undone = add_card(alice, front="8 undone")
    study(alice, undone, 5)
    last = StudyEvent.objects.filter(card_id=undone.pk).latest("reviewed_at")
    services.undo_review(user_id=alice.pk, review_id=last.event_id)
    study(alice, deleted := add_card(alice, front="9 deleted"), 2)
    services.delete_card(user_id=alice.pk, card_id=deleted.pk)
    add_exam(alice, title="About a note", note_ids=[topic.chapter.note_id], tags=["cells"])
    Exam.objects.filter(pk=add_exam(alice, title="Over", tags=["x"]).pk).update(at=timezone.now() - timedelta(days=9))
    return alice


def test_an_account_moves_with_its_cards_and_schedules(full, charlie):
    report = report_of(charlie, export_of(full))

    kept_out = ("skipped", [NOT_MOVED])
    assert {name: report[name] for name in report if name.startswith("study_")} == {
        "study_exams.json": ("created", []),
        "study_quizzes.json": kept_out,
        "study_recalls.json": kept_out,
        "study_settings.json": ("updated", []),
        "study_cards.json": ("created", []),
        "study_reviews.json": ("created", []),
    }
    assert exams_of(charlie) == exams_of(full)
    assert list(Exam.objects.filter(user=charlie).order_by("created_at").values_list("note_ids", flat=True)) == [
        [Note.objects.get(user=charlie).pk],
        [],
    ]
    picture = Attachment.objects.get(user=charlie)
    theirs = Attachment.objects.get(user=full)
    assert [str(row).replace(str(picture.pk), str(theirs.pk)) for row in schedules(charlie)] == [
        str(row) for row in schedules(full)
    ]
    assert log_of(charlie) == log_of(full)
    assert services.get_settings(user_id=charlie.pk).terms == services.get_settings(user_id=full.pk).terms
    tied = Card.objects.get(user=charlie, front="1 tied")
    topic = Topic.objects.get(chapter__note__user=charlie)
    assert (tied.topic_id, tied.block_text) == (topic.pk, "They have a membrane.\n\n")
    assert tied.block_id == get_blocks(user_id=charlie.pk, topic_id=topic.pk).blocks[1].id


def test_a_second_import_makes_nothing_twice(full, charlie):
    archive = export_of(full)
    report_of(charlie, archive)
    before = (schedules(charlie), log_of(charlie), Note.objects.count(), Card.objects.count(), exams_of(charlie))

    again = report_of(charlie, archive)
    own = report_of(full, archive)

    for report in (again, own):
        study = {outcome for name, (outcome, _) in report.items() if name.startswith("study_")}
        assert study == {"unchanged", "skipped"}  # quizzes and recalls stay behind
    after = (schedules(charlie), log_of(charlie), Note.objects.count(), Card.objects.count(), exams_of(charlie))
    assert after == before
    assert Exam.objects.count() == 4


def test_an_account_that_moved_moves_on_to_the_same_times(full, charlie):
    report_of(charlie, export_of(full))
    third = UserFactory()

    report_of(third, export_of(charlie))

    assert [row[11:] for row in schedules(third)] == [row[11:] for row in schedules(full)]


def test_a_card_that_was_deleted_comes_back_with_its_schedule(full):
    archive, before = export_of(full), schedules(full)
    services.delete_card(user_id=full.pk, card_id=Card.objects.get(front="1 tied").pk)

    report = report_of(full, archive)

    assert report["study_cards.json"] == ("created", [])
    assert schedules(full) == before


@pytest.mark.django_db(transaction=True)
def test_cards_find_their_topics_after_a_worker_was_lost(full, charlie, interrupt):
    client, archive = client_of(charlie), export_of(full)
    job = client.post(IMPORTS, {"file": SimpleUploadedFile("a.zip", archive)}, format="multipart").json()

    with barrier("BEFORE INSERT", "study_card") as cards:

        def end_there() -> None:
            cards.wait_for_one()
            interrupt()

        with in_background(end_there), pytest.raises(Interrupted):
            imports.carry_out_import(job["id"])
    connection.close()
    assert Topic.objects.filter(chapter__note__user=charlie).count() == 1
    NoteImport.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    imports.carry_out_import(job["id"])

    topic = Topic.objects.get(chapter__note__user=charlie)
    assert Card.objects.get(user=charlie, front="1 tied").topic_id == topic.pk


def test_a_dry_run_of_an_account_writes_nothing(full, charlie):
    client = client_of(charlie)
    upload = {"file": SimpleUploadedFile("a.zip", export_of(full)), "dry_run": True}
    response = client.post(IMPORTS, upload, format="multipart")
    imports.carry_out_import(response.json()["id"])

    files = client.get(response["Location"]).json()["report"]["files"]
    assert {file["outcome"] for file in files if file["name"].startswith(("study_c", "study_e"))} == {"created"}
    assert not Card.objects.filter(user=charlie).exists()
    assert not StudyEvent.objects.filter(user=charlie).exists()
    assert not Exam.objects.filter(user=charlie).exists()


def test_a_passage_that_changed_is_told(full, charlie):
    Card.objects.filter(front="1 tied").update(block_text="They have two membranes.\n\n", stale=True)

    report = report_of(charlie, export_of(full))

    assert report["study_cards.json"] == ("created", ["1 cards have lost their passage."])
    card = Card.objects.get(user=charlie, front="1 tied")
    assert (card.stale, card.orphan, card.topic_id is None) == (False, True, False)


def test_an_exam_that_loses_its_notes_is_told_and_kept_for_its_tags(full, charlie):
    add_exam(full, title="Of the note alone", note_ids=[Note.objects.get(user=full).pk])
    archive = export_of(full)

    report = report_of(charlie, with_rows("study_exams.json", rows_of(archive, "study_exams.json")))

    told = ["2 exams are about notes that were not imported.", "1 exams are about nothing else and were left out."]
    assert report["study_exams.json"] == ("created", told)
    assert list(Exam.objects.filter(user=charlie).order_by("title").values_list("title", "note_ids")) == [
        ("About a note", []),
        ("Over", []),
    ]


def test_no_more_exams_are_imported_than_there_may_be(full, charlie, monkeypatch):
    monkeypatch.setattr("study.services.exams.EXAMS_MAX", 1)
    archive = export_of(full)

    report = report_of(charlie, archive)

    assert report["study_exams.json"] == ("created", ["1 exams were left out: the limit is 50."])
    assert Exam.objects.filter(user=charlie).count() == 1
    assert report_of(full, archive)["study_exams.json"] == ("unchanged", [])


def test_an_exam_that_was_deleted_comes_back_once(full):
    archive = export_of(full)
    services.delete_exam(user_id=full.pk, exam_id=Exam.objects.get(title="Over").pk)

    outcomes = [report_of(full, archive)["study_exams.json"][0] for _ in range(2)]

    assert (outcomes, Exam.objects.count()) == (["created", "unchanged"], 2)


def test_settings_of_ones_own_stay(full, charlie):
    services.update_settings(user_id=charlie.pk, changes={"new_per_day": 3})

    report = report_of(charlie, export_of(full))

    assert report["study_settings.json"] == ("skipped", ["This account has settings of its own."])
    assert services.get_settings(user_id=charlie.pk).new_per_day == 3


BAD_CARDS = [
    {"front": ""},
    {"front": "x" * 20_001},
    {"front": "a\0b"},
    {"kind": "cloze", "front": "no deletion"},
    {"id": 5},
    {"tags": [str(n) for n in range(21)]},
    {"topic_id": "1"},
    {"created_at": "2999-01-01T00:00:00Z"},
    {"created_at": "0001-01-01T00:00:00Z"},
]
BAD_EVENTS = [
    {"reviewed_at": "2999-01-01T00:00:00Z"},
    {"reviewed_at": "0001-01-01T00:00:00Z"},
    {"rating": ""},
    {"face": 0},
    {"kind": "baseline", "rating": "", "data": {"stability": -1}},
    {"kind": "baseline", "rating": "", "data": None},
    {"kind": "undo", "rating": ""},
    {"settings": {}},
    {"settings": {"time_zone": "Mars/Olympus"}},
    {"data": {"card_id": "x"}},
    {"duration_ms": 10**12},
]


BAD_EXAMS = [
    {"title": ""},
    {"id": "x"},
    {"at": "2999-01-01T00:00:00Z"},
    {"at": "0001-01-01T00:00:00Z"},
    {"time_zone": "Mars/Olympus"},
    {"note_ids": [0]},
    {"note_ids": list(range(1, 102))},
    {"minutes_per_day": [1] * 6},
    {"minutes_per_day": [1] * 8},
    {"minutes_per_day": [1441] * 7},
    {"target": 1.5},
    {"target": True},
    {"created_at": "2999-01-01T00:00:00Z"},
    {"user_id": 1},
]
BAD = {"study_cards.json": BAD_CARDS, "study_reviews.json": BAD_EVENTS, "study_exams.json": BAD_EXAMS}


@pytest.mark.parametrize(("name", "wrong"), BAD.items())
def test_wrong_entries_are_left_out_and_told(alice, charlie, name, wrong):
    for _ in range(2):
        study(alice, add_card(alice), 2)
        add_exam(alice, tags=["cells"])
    good, other, *_ = rows_of(export_of(alice), name)

    report = report_of(charlie, with_rows(name, [*(good | changes for changes in wrong), other, 7]))

    count = len(wrong) + 1
    told = f"{count} of {count + 1} entries are invalid and were left out."
    assert report[name] == ("created", [told])
    assert sum(model.objects.filter(user=charlie).count() for model in (Card, StudyEvent, Exam)) == 1


@pytest.mark.parametrize("content", ["", "not JSON", "[" * 5_000, '{"a": 1}', "null"])
def test_what_is_no_list_fails(charlie, content):
    names = ("study_settings.json", "study_cards.json", "study_reviews.json", "study_exams.json")

    assert [report_of(charlie, with_rows(name, content))[name][0] for name in names] == ["failed"] * 4


def test_anothers_cards_and_topics_are_out_of_reach(full, charlie):
    """An export that names ids of Alice's makes cards of Charlie's, and changes nothing of hers."""
    before = (schedules(full), log_of(full))
    archive = export_of(full)

    report_of(charlie, with_rows("study_cards.json", rows_of(archive, "study_cards.json")))
    report_of(charlie, with_rows("study_reviews.json", rows_of(archive, "study_reviews.json")))

    assert (schedules(full), log_of(full)) == before
    assert not Card.objects.filter(user=charlie, topic_id__isnull=False).exists()
    assert not {*Card.objects.filter(user=charlie).values_list("pk", flat=True)} & {
        *Card.objects.filter(user=full).values_list("pk", flat=True)
    }


def test_a_picture_that_only_a_card_names_is_kept(alice):
    topic = add_note(alice)
    picture = add_attachment(user_id=alice.pk, note_id=topic.chapter.note_id, name="a.png", content=saved("PNG"))
    long_ago = timezone.now() - timedelta(days=30)
    Attachment.objects.update(unnamed_since=long_ago, checked_at=long_ago)
    add_card(alice, back=f"![it]({picture.path})")

    assert purge_orphans() == 0
    picture.refresh_from_db()
    assert picture.unnamed_since is None
