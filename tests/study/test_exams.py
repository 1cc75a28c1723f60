"""Exams: written and seen by their owner, and by nobody else."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from study.models import Exam
from study.services import update_settings
from study.services.exams import EXAMS_MAX
from tests.factories import NoteFactory

EXAMS = "/api/study/exams/"
MINUTES = {"mon": 30, "tue": 30, "wed": 30, "thu": 30, "fri": 30, "sat": 60, "sun": 0}


@pytest.fixture
def note(alice):
    return NoteFactory(user=alice)


@pytest.fixture
def body(clock, note):
    """The clock says 2 March 2026, 10:00 UTC."""
    return {
        "title": "Biology",
        "at": "2026-03-30T09:00:00+02:00",
        "time_zone": "Europe/Berlin",
        "scope": {"note_ids": [note.pk], "tags": ["Cells"]},
        "minutes_per_day": MINUTES,
        "target": 0.85,
    }


@pytest.fixture
def exam(alice_client, send, body):
    response = send(alice_client, "post", EXAMS, body)
    assert response.status_code == 201, response.content
    return response.json()


def problems(response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


def test_an_exam_is_shown_as_it_was_made(alice_client, send, body, note):
    response = send(alice_client, "post", EXAMS, body)

    shown = response.json()
    assert response.status_code == 201
    assert shown == {
        "id": shown["id"],
        "title": "Biology",
        "at": "2026-03-30T07:00:00.000000Z",
        "time_zone": "Europe/Berlin",
        "scope": {"note_ids": [note.pk], "tags": ["cells"]},
        "minutes_per_day": MINUTES,
        "target": 0.85,
        "has_calendar_link": False,
        "version": 1,
        "created_at": "2026-03-02T10:00:00.000000Z",
        "updated_at": "2026-03-02T10:00:00.000000Z",
    }
    assert (response["Location"], response["ETag"]) == (f"{EXAMS}{shown['id']}/", '"1"')
    again = alice_client.get(response["Location"])
    assert (again.json(), again["ETag"]) == (shown, '"1"')
    assert alice_client.get(response["Location"], HTTP_IF_NONE_MATCH='"1"').status_code == 304
    assert alice_client.get(EXAMS).json()["results"] == [shown]


@pytest.mark.parametrize(
    ("time_zone", "at", "instant"),
    [
        ("Europe/Berlin", "2026-03-28T09:00", "2026-03-28T08:00:00.000000Z"),
        ("Europe/Berlin", "2026-03-29T09:00", "2026-03-29T07:00:00.000000Z"),  # clocks went forward at night
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00.000000Z"),  # comes twice: the first
        ("America/New_York", "2026-11-01T09:00", "2026-11-01T14:00:00.000000Z"),
        ("Australia/Lord_Howe", "2026-04-04T09:00", "2026-04-03T22:00:00.000000Z"),
        ("Australia/Lord_Howe", "2026-04-05T09:00", "2026-04-04T22:30:00.000000Z"),  # back by half an hour
    ],
)
def test_a_time_without_an_offset_is_one_on_the_clocks_of_the_exams_zone(
    alice_client, send, body, time_zone, at, instant
):
    response = send(alice_client, "post", EXAMS, body | {"time_zone": time_zone, "at": at})

    assert response.json()["at"] == instant


def test_without_a_zone_it_is_that_of_the_settings(alice, alice_client, send, body):
    update_settings(user_id=alice.pk, changes={"time_zone": "Asia/Tokyo"})
    del body["time_zone"]

    response = send(alice_client, "post", EXAMS, body | {"at": "2026-03-30T09:00"})

    assert response.json()["time_zone"] == "Asia/Tokyo"
    assert response.json()["at"] == "2026-03-30T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"at": "2026-03-02T10:00:00Z"}, "/at", "in_the_past"),
        ({"at": "2026-03-01T10:00:00Z"}, "/at", "in_the_past"),
        ({"at": "2029-03-02T10:00:00Z"}, "/at", "too_far_ahead"),
        ({"at": "2026-03-29T02:30:00"}, "/at", "no_such_time"),  # clocks jump over it
        ({"at": "0001-01-01T00:00:00+14:00"}, "/at", "no_such_time"),
        ({"at": "tomorrow"}, "/at", "invalid"),
        ({"at": 1774854000}, "/at", "invalid"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "unknown_time_zone"),
        ({"time_zone": "localtime"}, "/time_zone", "unknown_time_zone"),
        ({"time_zone": 1}, "/time_zone", "invalid"),
        ({"scope": {}}, "/scope", "empty_scope"),
        ({"scope": {"note_ids": [], "tags": []}}, "/scope", "empty_scope"),
        ({"scope": []}, "/scope", "invalid"),
        ({"scope": {"notes": [1]}}, "/scope/notes", "unknown_field"),
        ({"scope": {"note_ids": ["1"]}}, "/scope/note_ids/0", "invalid"),
        ({"scope": {"note_ids": list(range(1, 102))}}, "/scope/note_ids", "max_length"),
        ({"scope": {"tags": [f"t{n}" for n in range(21)]}}, "/scope/tags", "too_many"),
        ({"minutes_per_day": {"mon": 30}}, "/minutes_per_day/tue", "required"),
        ({"minutes_per_day": MINUTES | {"sun": 1441}}, "/minutes_per_day/sun", "max_value"),
        ({"minutes_per_day": MINUTES | {"sun": -1}}, "/minutes_per_day/sun", "min_value"),
        ({"minutes_per_day": MINUTES | {"sun": True}}, "/minutes_per_day/sun", "invalid"),
        ({"minutes_per_day": MINUTES | {"day": 1}}, "/minutes_per_day/day", "unknown_field"),
        ({"target": 1}, "/target", "max_value"),
        ({"target": "0.9"}, "/target", "invalid"),
        ({"title": " "}, "/title", "blank"),
        ({"title": "x" * 301}, "/title", "max_length"),
        ({"calendar_hash": "0"}, "/calendar_hash", "unknown_field"),
    ],
)
def test_what_is_no_exam_is_refused(alice_client, send, exam, body, changes, pointer, code):
    new = send(alice_client, "post", EXAMS, body | changes)
    changed = send(alice_client, "patch", f"{EXAMS}{exam['id']}/", changes)

    for response in (new, changed):
        assert response.status_code == 400
        assert (pointer, code) in problems(response)
    assert alice_client.get(EXAMS).json()["results"] == [exam]


def test_notes_of_the_scope_are_ones_own_and_not_in_the_trash(alice, charlie, alice_client, send, body, note):
    theirs, trashed = NoteFactory(user=charlie), NoteFactory(user=alice)
    send(alice_client, "delete", f"/api/notes/{trashed.pk}/")

    for missing in (theirs.pk, trashed.pk, 2**62):
        response = send(alice_client, "post", EXAMS, body | {"scope": {"note_ids": [note.pk, missing]}})
        assert (response.status_code, problems(response)) == (404, [("/scope/note_ids/1", "not_found")])
    assert not Exam.objects.exists()


def test_a_patch_changes_what_it_names_and_raises_the_version_once(alice_client, send, clock, exam):
    path = f"{EXAMS}{exam['id']}/"
    clock.forward(hours=1)

    first = send(alice_client, "patch", path, {"title": "Botany", "scope": {"tags": ["plants"]}}, If_Match='"1"')
    same = send(alice_client, "patch", path, {"title": "Botany"})
    late = send(alice_client, "patch", path, {"title": "Zoology"}, If_Match='"1"')

    changed = {"title": "Botany", "scope": {"note_ids": [], "tags": ["plants"]}, "version": 2}
    assert first.json() == exam | changed | {"updated_at": "2026-03-02T11:00:00.000000Z"}
    assert (same.status_code, same["ETag"]) == (200, '"2"')
    assert (late.status_code, late.json()["current_version"]) == (412, 2)


def test_another_zone_alone_leaves_the_instant(alice_client, send, exam):
    response = send(alice_client, "patch", f"{EXAMS}{exam['id']}/", {"time_zone": "America/New_York"})

    assert (response.json()["time_zone"], response.json()["at"]) == ("America/New_York", exam["at"])


def test_a_put_replaces_and_gives_what_is_left_out_its_default(alice_client, send, exam, body):
    del body["target"]

    response = send(alice_client, "put", f"{EXAMS}{exam['id']}/", body | {"title": "Botany"})

    assert response.json() == exam | {
        "title": "Botany", "target": 0.9, "version": 2, "updated_at": response.json()["updated_at"],
    }  # fmt: skip


def test_an_exam_that_is_over_can_be_renamed_but_not_moved_into_the_past(alice_client, send, clock, exam):
    path = f"{EXAMS}{exam['id']}/"
    clock.to(2026, 4, 1)

    renamed = send(alice_client, "patch", path, {"title": "Passed", "at": exam["at"]})
    moved = send(alice_client, "patch", path, {"at": "2026-03-31T09:00:00Z"})

    assert (renamed.status_code, renamed.json()["title"]) == (200, "Passed")
    assert (moved.status_code, problems(moved)) == (400, [("/at", "in_the_past")])


def test_a_note_that_was_deleted_since_stays_in_the_scope(alice_client, send, exam, note, alice):
    other = NoteFactory(user=alice)
    send(alice_client, "delete", f"/api/notes/{note.pk}/")

    response = send(alice_client, "patch", f"{EXAMS}{exam['id']}/", {"scope": {"note_ids": [note.pk, other.pk]}})

    assert response.json()["scope"] == {"note_ids": [note.pk, other.pk], "tags": []}


def test_a_deleted_exam_is_gone(alice_client, send, exam):
    path = f"{EXAMS}{exam['id']}/"

    refused = send(alice_client, "delete", path, If_Match='"2"')
    response = send(alice_client, "delete", path, If_Match='"1"')

    assert refused.status_code == 412
    assert (response.status_code, response.content) == (204, b"")
    assert alice_client.get(path).status_code == 404
    assert send(alice_client, "delete", path).status_code == 404


def test_a_repeated_key_makes_one_exam(alice_client, send, body):
    first, second = (send(alice_client, "post", EXAMS, body, Idempotency_Key="1") for _ in range(2))

    assert first.json() == second.json()
    assert Exam.objects.count() == 1


def test_there_is_a_limit_to_exams(alice, alice_client, send, exam, body):
    template = Exam.objects.get()
    Exam.objects.bulk_create(
        Exam(
            id=uuid4(),
            user=alice,
            title=str(n),
            at=template.at,
            time_zone="UTC",
            note_ids=[],
            tags=["a"],
            minutes_per_day=[0] * 7,
            target=0.9,
        )
        for n in range(EXAMS_MAX - 1)
    )

    response = send(alice_client, "post", EXAMS, body)

    assert (response.status_code, response.json()["code"]) == (409, "too_many_exams")
    assert Exam.objects.count() == EXAMS_MAX


@pytest.mark.parametrize("count", [1, 40])
def test_the_list_costs_one_query_and_begins_with_the_exam_furthest_ahead(
    alice, alice_client, count, django_assert_num_queries
):
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    Exam.objects.bulk_create(
        Exam(
            id=UUID(int=n + 1),
            user=alice,
            title=str(n),
            at=begin + timedelta(days=n),
            time_zone="UTC",
            tags=["a"],
            minutes_per_day=[0] * 7,
            target=0.9,
        )
        for n in range(count)
    )
    alice_client.get(EXAMS)

    with django_assert_num_queries(1):
        response = alice_client.get(f"{EXAMS}?page_size=100")

    assert [exam["title"] for exam in response.json()["results"]] == [str(n) for n in reversed(range(count))]


def test_writes_cost_a_fixed_number_of_queries(alice_client, send, body, django_assert_num_queries):
    send(alice_client, "post", EXAMS, body)  # makes the row of settings

    with django_assert_num_queries(7):  # settings; savepoint, settings and lock, count, notes, insert, release
        made = send(alice_client, "post", EXAMS, body).json()
    with django_assert_num_queries(5):  # the exam's zone; savepoint, exam and lock, update, release
        send(alice_client, "patch", f"{EXAMS}{made['id']}/", {"title": "Other"})


def test_a_stranger_sees_and_changes_nothing(alice_client, charlie_client, send, exam, body):
    missing = uuid4()

    for method, rest in (
        ("get", ""), ("put", ""), ("patch", ""), ("delete", ""), ("get", "forecast/"), ("get", "plan/"),
        ("post", "calendar-link/"), ("delete", "calendar-link/"),
    ):  # fmt: skip
        sent = body | {"scope": {"tags": ["a"]}} if method in ("put", "patch") else None
        theirs = send(charlie_client, method, f"{EXAMS}{exam['id']}/{rest}", sent, X_Request_ID="same")
        none = send(charlie_client, method, f"{EXAMS}{missing}/{rest}", sent, X_Request_ID="same")
        assert theirs.status_code == none.status_code == 404
        assert theirs.content == none.content
    assert charlie_client.get(EXAMS).json()["results"] == []
    assert alice_client.get(f"{EXAMS}{exam['id']}/").json() == exam
