import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from rest_framework.test import APIClient

from accounts import state
from accounts.models import Session, User
from accounts.services import sessions
from accounts.services.sessions import Device
from accounts.tokens import issue_access, issue_refresh, read_access, read_refresh
from tests.conftest import client_of
from tests.factories import SessionFactory, UserFactory
from tests.service_client import ServiceClient
from utils.admission import Admission, Subject, admit, revoked_key, state_key, version_key

REFRESH = "/api/auth/refresh/"


def refresh_of(session: Session) -> str:
    session.refresh_from_db()
    return issue_refresh(session_id=session.pk, generation=session.generation, expires_at=session.expires_at)


def refresh(token: str):
    return ServiceClient().post(REFRESH, {"refresh": token}, format="json")


def is_signed_in(client: APIClient) -> bool:
    response = client.get("/api/users/me/")
    assert response.status_code in (200, 401)
    return response.status_code == 200


def age_rotation(session: Session, seconds: float) -> None:
    Session.objects.filter(pk=session.pk).update(rotated_at=F("rotated_at") - timedelta(seconds=seconds))


# --- Refresh ----------------------------------------------------------------------------------------------------------


def test_refresh_gives_the_next_pair_and_prolongs_the_session(alice, django_assert_num_queries):
    session = SessionFactory(user=alice, expires_at=datetime.now(UTC) + timedelta(days=1))
    token = refresh_of(session)

    with django_assert_num_queries(1):  # the rotation; reading the user is part of it
        response = refresh(token)

    assert response.status_code == 200
    assert sorted(response.json()) == ["access", "refresh"]
    session.refresh_from_db()
    assert session.generation == 2
    assert session.expires_at - session.rotated_at == timedelta(days=30)
    assert response.json()["refresh"] == refresh_of(session)
    claims = read_access(response.json()["access"])
    assert (claims.user_id, claims.token_version, claims.session_id) == (alice.pk, 1, session.pk)


def test_the_previous_token_gets_the_current_pair_again_for_ten_seconds(alice):
    session = SessionFactory(user=alice)
    token = refresh_of(session)
    first = refresh(token).json()
    age_rotation(session, 9)

    again = refresh(token)

    assert again.status_code == 200
    assert again.json()["refresh"] == first["refresh"]
    assert refresh(first["refresh"]).status_code == 200


def test_a_retry_at_once_gets_the_very_same_answer(alice):
    token = refresh_of(SessionFactory(user=alice))

    assert refresh(token).json() == refresh(token).json()


def test_a_used_token_that_comes_back_later_revokes_the_session(alice, django_assert_num_queries, committing):
    session = SessionFactory(user=alice)
    client = client_of(alice, session)
    assert is_signed_in(client)
    token = refresh_of(session)
    newest = refresh(token).json()["refresh"]
    age_rotation(session, 11)

    with django_assert_num_queries(2), committing():  # the rotation that found nothing, the revocation
        response = refresh(token)

    assert response.status_code == 401
    assert response.json()["code"] == "token_invalid"
    assert response["WWW-Authenticate"] == "Bearer"
    session.refresh_from_db()
    assert session.revoked_at is not None
    assert refresh(newest).status_code == 401
    assert not is_signed_in(client)


def test_a_token_older_than_the_previous_one_revokes_the_session_at_once(alice):
    session = SessionFactory(user=alice)
    oldest = refresh_of(session)
    refresh(refresh(oldest).json()["refresh"])

    assert refresh(oldest).status_code == 401
    session.refresh_from_db()
    assert session.revoked_at is not None


def test_refresh_is_refused_for_a_session_that_is_revoked_or_expired_or_gone(alice):
    revoked = SessionFactory(user=alice, revoked_at=datetime.now(UTC))
    expired = SessionFactory(user=alice)
    expired_token = refresh_of(expired)
    Session.objects.filter(pk=expired.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    gone_token = issue_refresh(session_id=2**40, generation=1, expires_at=datetime.now(UTC) + timedelta(days=1))

    answers = [refresh(token) for token in (refresh_of(revoked), expired_token, gone_token)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert len({answer.json()["detail"] for answer in answers}) == 1


def test_a_disabled_user_cannot_refresh_but_keeps_the_session_for_later(alice):
    token = refresh_of(SessionFactory(user=alice))
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert refresh(token).status_code == 401

    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert refresh(token).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"refresh": 5}, {"refresh": ""}, {"refresh": "a", "x": 1}, {"refresh": "a" * 2000}]
)
def test_a_body_without_a_token_is_400(client, body):
    assert client.post(REFRESH, body, format="json").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_twenty_parallel_refreshes_leave_one_live_generation():
    session = SessionFactory()
    token = refresh_of(session)

    def in_thread(_: int):
        try:
            return refresh(token)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(in_thread, range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert {read_refresh(answer.json()["refresh"]).generation for answer in answers} == {2}
    session.refresh_from_db()
    assert (session.generation, session.revoked_at) == (2, None)


def test_no_token_is_stored(alice):
    pair = sessions.open_session(user_id=alice.pk, token_version=1, device=Device("Firefox", "203.0.113.9"))

    row = str(Session.objects.values().get())
    for token in (pair.access, pair.refresh):
        assert token not in row
        assert token.rpartition(".")[2] not in row


def test_a_session_is_not_opened_for_a_password_that_was_just_changed(alice):
    with pytest.raises(sessions.SessionNotOpened):
        sessions.open_session(user_id=alice.pk, token_version=alice.token_version - 1, device=Device())

    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_login_waits_for_a_change_of_the_password_that_is_not_committed_yet():
    user = UserFactory()

    def log_in() -> str:
        try:
            sessions.open_session(user_id=user.pk, token_version=1, device=Device())
        except sessions.SessionNotOpened:
            return "refused"
        finally:
            connection.close()
        return "opened"

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            sessions.end_all_sessions(user_id=user.pk)
            login = pool.submit(log_in)
            wait_for(lambda: login.done() or somebody_waits_for_a_lock())
            assert not login.done()
        assert login.result(timeout=10) == "refused"

    assert not Session.objects.exists()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return cursor.fetchone()[0]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_device(client, alice):
    login = {"email": "alice@example.com", "password": "correct horse battery staple"}
    answer = client.post(
        "/api/auth/login/", login, format="json", headers={"User-Agent": "Firefox\t7"}, REMOTE_ADDR="203.0.113.9"
    )
    other = SessionFactory(user=alice)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")

    found = client.get("/api/auth/sessions/").json()

    newest, own = found["results"]
    assert (newest["id"], newest["current"], newest["device"], newest["address"]) == (other.pk, False, "", None)
    assert sorted(own) == ["address", "created_at", "current", "device", "expires_at", "id", "last_used_at"]
    assert (own["current"], own["device"], own["address"]) == (True, "Firefox7", "203.0.113.9")
    assert own["created_at"] == own["last_used_at"]
    assert (found["next"], found["previous"]) == (None, None)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_list_costs_one_query_however_many_sessions_there_are(alice, count, django_assert_num_queries):
    client = client_of(alice)
    client.get("/api/auth/sessions/")
    SessionFactory.create_batch(count - 1, user=alice)

    with django_assert_num_queries(1):  # the page
        found = client.get("/api/auth/sessions/?page_size=100").json()

    assert len(found["results"]) == count


def test_the_list_shows_live_sessions_of_the_user_only(alice, alice_client, charlie):
    SessionFactory(user=charlie)
    SessionFactory(user=alice, revoked_at=datetime.now(UTC))
    SessionFactory(user=alice, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert [session["current"] for session in alice_client.get("/api/auth/sessions/").json()["results"]] == [True]


def test_a_session_is_revoked_by_its_user_and_nobody_else(alice, alice_client, charlie_client, committing):
    device = SessionFactory(user=alice)
    client = client_of(alice, device)
    assert is_signed_in(client)

    assert charlie_client.delete(f"/api/auth/sessions/{device.pk}/").status_code == 404
    assert is_signed_in(client)
    with committing():
        assert alice_client.delete(f"/api/auth/sessions/{device.pk}/").status_code == 204

    assert not is_signed_in(client)
    assert refresh(refresh_of(device)).status_code == 401
    assert alice_client.delete(f"/api/auth/sessions/{device.pk}/").status_code == 404
    assert is_signed_in(alice_client)


def test_somebody_elses_session_answers_like_none(alice, charlie_client):
    theirs, none = (
        charlie_client.delete(f"/api/auth/sessions/{pk}/", headers={"X-Request-ID": "1"})
        for pk in (SessionFactory(user=alice).pk, 2**40)
    )

    assert theirs.status_code == none.status_code == 404
    assert theirs.content == none.content


@pytest.mark.parametrize("number", ["abc", "-1", "1.5", str(2**63), "9" * 100])
def test_what_is_no_id_is_404(alice_client, number):
    assert alice_client.delete(f"/api/auth/sessions/{number}/").status_code == 404


# --- Ending sessions --------------------------------------------------------------------------------------------------


def test_logout_ends_this_session_only(alice, committing):
    here, there = SessionFactory.create_batch(2, user=alice)
    client, other = client_of(alice, here), client_of(alice, there)
    assert is_signed_in(client)

    with committing():
        response = client.post("/api/auth/logout/")

    assert (response.status_code, response.content) == (204, b"")
    assert not is_signed_in(client)
    assert refresh(refresh_of(here)).status_code == 401
    assert is_signed_in(other)


def test_logout_all_ends_every_session_and_every_access_token(alice, charlie_client, committing):
    here, there = SessionFactory.create_batch(2, user=alice)
    client, other = client_of(alice, here), client_of(alice, there)
    assert is_signed_in(client)
    assert is_signed_in(other)

    with committing():
        assert client.post("/api/auth/logout-all/").status_code == 204

    assert not is_signed_in(client)
    assert not is_signed_in(other)
    assert refresh(refresh_of(there)).status_code == 401
    assert is_signed_in(charlie_client)


def test_marks_outlive_every_state_that_was_read_before_them(alice, empty_redis, committing):
    session = SessionFactory(user=alice)
    assert is_signed_in(client_of(alice, session))
    assert 0 < empty_redis.ttl(state_key(session.pk)) <= 60

    with committing():
        sessions.revoke(session_id=session.pk, user_id=alice.pk)
        sessions.raise_token_version(user_id=alice.pk)

    assert empty_redis.ttl(revoked_key(session.pk)) > 60
    assert empty_redis.ttl(version_key(alice.pk)) > 60


@pytest.mark.parametrize("target", ["/api/notes/", "/api/notifications/pending/", "/api/auth/sessions/"])
def test_the_first_request_to_a_server_that_has_just_started_is_let_in(alice, empty_redis, target):
    empty_redis.script_flush()

    assert client_of(alice).get(target).status_code == 200


def test_a_slow_reader_cannot_bring_back_a_revoked_session(alice, committing):
    session = SessionFactory(user=alice)
    subject = Subject(alice.pk, session.pk, alice.token_version)
    is_staff = state.read_state(subject)  # and here the reader pauses

    with committing():
        sessions.revoke(session_id=session.pk, user_id=alice.pk)
    admit(subject, staff_as_read=is_staff)

    assert not is_signed_in(client_of(alice, session))


def test_a_slow_reader_cannot_bring_back_an_old_token_version(alice, committing):
    session = SessionFactory(user=alice)
    subject = Subject(alice.pk, session.pk, alice.token_version)
    is_staff = state.read_state(subject)

    with committing():
        sessions.raise_token_version(user_id=alice.pk)
    admit(subject, staff_as_read=is_staff)

    assert not is_signed_in(client_of(alice, session))


def test_a_new_token_version_does_not_take_what_was_known_of_the_old_one(alice):
    session = SessionFactory(user=alice)
    admit(Subject(alice.pk, session.pk, token_version=1), staff_as_read=True)

    assert admit(Subject(alice.pk, session.pk, token_version=2)) == Admission("unknown")


def test_logout_bites_without_redis_too(alice, dead_redis):
    client = client_of(alice)
    assert is_signed_in(client)

    assert client.post("/api/auth/logout/").status_code == 204

    assert not is_signed_in(client)


# --- Purging ----------------------------------------------------------------------------------------------------------


def test_expired_sessions_are_purged_in_batches_and_others_stay(db, monkeypatch):
    monkeypatch.setattr(sessions, "PURGE_BATCH", 2)
    user = UserFactory()
    SessionFactory.create_batch(5, user=user, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    live = SessionFactory(user=user)

    assert sessions.purge_expired() == 5
    assert list(Session.objects.all()) == [live]


def test_a_signed_token_of_a_session_that_never_was_is_refused(alice):
    client = ServiceClient()
    token = issue_access(user_id=alice.pk, token_version=1, session_id=2**40)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    assert not is_signed_in(client)


def test_a_token_of_one_users_session_for_another_user_is_refused(alice, charlie):
    client = ServiceClient()
    session = SessionFactory(user=alice)
    token = issue_access(user_id=charlie.pk, token_version=1, session_id=session.pk)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")

    assert not is_signed_in(client)
