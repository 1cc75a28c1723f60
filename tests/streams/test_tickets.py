"""Tickets open one's event streams, and nothing else."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from accounts.models import Session, User
from accounts.services import sessions
from accounts.tokens import issue_access, issue_refresh, issue_ticket
from accounts.views.streams import ended_sessions
from tests.conftest import client_of
from tests.factories import AITaskFactory, SessionFactory
from tests.streams.conftest import read_all, reading
from utils.admission.gate import Subject
from utils.streaming import clients

pytestmark = pytest.mark.django_db

STREAM = "/api/notifications/stream/"


@pytest.fixture
def session(alice):
    return SessionFactory(user=alice)


@pytest.fixture
def ticket(alice, session) -> str:
    answer = client_of(alice, session).post("/api/auth/stream-ticket/")
    assert (answer.status_code, answer.json()["expires_in"], answer["Cache-Control"]) == (200, 900, "no-store")
    return answer.json()["ticket"]


@pytest.fixture
def running_task(alice):
    return AITaskFactory(user=alice, status="running", attempt=1)


def refused(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_ticket_opens_both_streams_as_often_as_wanted(client, ticket, running_task):
    for path in (STREAM, f"/api/ai/tasks/{running_task.pk}/events/") * 2:
        with reading(client, f"{path}?ticket={ticket}") as chunks:
            assert next(chunks).startswith(b"retry: ")


def test_a_ticket_opens_no_stream_of_another_user(client, ticket, charlie):
    foreign = AITaskFactory(user=charlie, status="running", attempt=1)

    assert refused(client.get(f"/api/ai/tasks/{foreign.pk}/events/", {"ticket": ticket})) == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/users/me/", "/api/notes/", "/api/ai/tasks/", "/api/notifications/pending/"])
def test_a_ticket_is_worth_nothing_on_other_routes(client, ticket, path):
    assert refused(client.get(path, {"ticket": ticket})) == (401, "not_authenticated")
    assert refused(client.get(path, headers={"Authorization": f"Bearer {ticket}"})) == (401, "token_invalid")


def test_a_ticket_is_no_bearer_token_of_streams_either(client, ticket):
    response = client.get(STREAM, headers={"Authorization": f"Bearer {ticket}"})

    assert refused(response) == (401, "token_invalid")


def test_a_ticket_gets_no_other_ticket(client, ticket):
    assert client.post(f"/api/auth/stream-ticket/?ticket={ticket}").status_code == 401


def test_a_ticket_needs_authentication(client):
    assert refused(client.post("/api/auth/stream-ticket/")) == (401, "not_authenticated")


def test_other_tokens_are_no_tickets(client, alice, session):
    claims = {"user_id": alice.pk, "token_version": alice.token_version, "session_id": session.pk}
    refresh = issue_refresh(session_id=session.pk, generation=session.generation, expires_at=session.expires_at)

    for token in (issue_access(**claims), refresh, "x", "a.b.c", "\u0661"):
        assert refused(client.get(STREAM, {"ticket": token})) == (401, "token_invalid")
    assert refused(client.get(STREAM, {"ticket": ""})) == (401, "not_authenticated")


def test_a_ticket_expires(client, alice, session):
    claims = {"user_id": alice.pk, "token_version": alice.token_version, "session_id": session.pk}

    expired = issue_ticket(**claims, lifetime=timedelta(seconds=-1))

    assert refused(client.get(STREAM, {"ticket": expired})) == (401, "token_invalid")


def test_a_ticket_that_was_altered_is_refused(client, ticket):
    head, body, signature = ticket.split(".")
    other = "B" if signature[0] == "A" else "A"

    assert client.get(STREAM, {"ticket": f"{head}.{body}.{other}{signature[1:]}"}).status_code == 401


def test_a_ticket_dies_with_its_session(client, alice, session, ticket, django_capture_on_commit_callbacks):
    with reading(client, f"{STREAM}?ticket={ticket}"):
        pass

    with django_capture_on_commit_callbacks(execute=True):
        sessions.revoke(session_id=session.pk, user_id=alice.pk)

    assert refused(client.get(STREAM, {"ticket": ticket})) == (401, "token_invalid")


def test_a_ticket_of_an_ended_session_is_refused_while_redis_is_dead(client, session, ticket, running_task, dead_redis):
    session.revoked_at = timezone.now()
    session.save()

    response = client.get(f"/api/ai/tasks/{running_task.pk}/events/", {"ticket": ticket})

    assert refused(response) == (401, "token_invalid")


def test_a_ticket_dies_with_the_users_other_tokens(client, alice, ticket, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        sessions.end_all_sessions(user_id=alice.pk)

    assert refused(client.get(STREAM, {"ticket": ticket})) == (401, "token_invalid")


@pytest.fixture
def watchful(monkeypatch) -> None:
    """Sessions are looked at whenever a stream asks."""
    monkeypatch.setattr(ended_sessions, "seconds", 0)


def end(user, session) -> None:
    sessions.revoke(session_id=session.pk, user_id=user.pk)


def end_all(user, session) -> None:
    sessions.end_all_sessions(user_id=user.pk)


def revoke_row(user, session) -> None:
    Session.objects.filter(pk=session.pk).update(revoked_at=timezone.now())


def disable_row(user, session) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete(user, session) -> None:
    user.delete()


@pytest.mark.parametrize("end_session", [end, end_all, revoke_row, disable_row, delete])
def test_an_open_stream_ends_with_its_session_without_a_revocation_marker(
    client, alice, session, ticket, watchful, end_session
):
    with reading(client, f"{STREAM}?ticket={ticket}") as chunks:
        next(chunks)
        end_session(alice, session)  # the test's transaction is never committed, so no mark is made
        assert list(chunks) == []


def test_an_open_stream_ends_with_its_session_while_redis_is_dead(
    client, alice, session, ticket, running_task, watchful, request
):
    with reading(client, f"/api/ai/tasks/{running_task.pk}/events/?ticket={ticket}") as chunks:
        next(chunks)
        request.getfixturevalue("dead_redis")
        end_all(alice, session)
        assert list(chunks) == []


def test_an_open_stream_of_another_session_goes_on(client, alice, session, ticket, watchful, settings):
    settings.SSE_HEARTBEAT_SECONDS = 0.1
    with reading(client, f"{STREAM}?ticket={ticket}") as chunks:
        next(chunks)
        end(alice, SessionFactory(user=alice))
        assert [next(chunks), next(chunks)] == [b":\n\n", b":\n\n"]


def test_sessions_are_looked_up_for_all_streams_together(alice, monkeypatch, django_assert_num_queries):
    subjects = [Subject(alice.pk, one.pk, alice.token_version) for one in SessionFactory.create_batch(50, user=alice)]
    monkeypatch.setattr(ended_sessions, "seconds", 0)
    for subject in subjects:
        ended_sessions.watch(subject)
    end(alice, Session.objects.get(pk=subjects[7].session_id))
    monkeypatch.setattr(ended_sessions, "seconds", 60)

    with django_assert_num_queries(1):
        ended = [subject for subject in subjects if ended_sessions.has_ended(subject)]

    assert ended == [subjects[7]]
    for subject in subjects:
        ended_sessions.unwatch(subject)


def test_an_open_stream_ends_when_its_ticket_does(client, ticket, monkeypatch):
    passed = 0.0
    clock = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + passed)
    monkeypatch.setattr(clients, "time", clock)
    response = client.get(STREAM, {"ticket": ticket})
    passed = 901.0

    assert read_all(response) == []
