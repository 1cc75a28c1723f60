from datetime import UTC, datetime, timedelta

import pytest

from accounts import session_state
from accounts.models import Session
from accounts.services import sessions
from accounts.tokens import issue_access
from tests.accounts.helpers import is_signed_in, refresh, refresh_of
from tests.conftest import client_of
from tests.factories import SessionFactory, UserFactory
from tests.service_client import ServiceClient
from utils.admission.gate import Admission, Subject, admit, revoked_key, state_key, version_key

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
    SessionFactory(user=alice, expires_at=datetime.now(UTC) - timedelta(minutes=5))

    assert [session["current"] for session in alice_client.get("/api/auth/sessions/").json()["results"]] == [True]


def test_a_session_is_revoked_by_its_user_only(alice, alice_client, charlie_client, committing):
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


def test_another_users_session_is_like_a_missing_one(alice, charlie_client):
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
    is_staff = session_state.read(subject)  # and here the reader pauses

    with committing():
        sessions.revoke(session_id=session.pk, user_id=alice.pk)
    admit(subject, staff_as_read=is_staff)

    assert not is_signed_in(client_of(alice, session))


def test_a_slow_reader_cannot_bring_back_an_old_token_version(alice, committing):
    session = SessionFactory(user=alice)
    subject = Subject(alice.pk, session.pk, alice.token_version)
    is_staff = session_state.read(subject)

    with committing():
        sessions.raise_token_version(user_id=alice.pk)
    admit(subject, staff_as_read=is_staff)

    assert not is_signed_in(client_of(alice, session))


def test_a_new_token_version_does_not_use_the_state_of_the_old_one(alice):
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
    monkeypatch.setattr(sessions, "BATCH_SIZE", 2)
    user = UserFactory()
    SessionFactory.create_batch(5, user=user, expires_at=datetime.now(UTC) - timedelta(minutes=5))
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
