from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

from accounts.models import Session, User
from accounts.services import sessions
from accounts.services.sessions import Device
from accounts.tokens import issue_refresh, read_access, read_refresh
from tests.accounts.helpers import REFRESH, is_signed_in, refresh, refresh_of
from tests.conftest import client_of
from tests.factories import SessionFactory, UserFactory
from tests.processes import wait_until


def age_rotation(session: Session, seconds: float) -> None:
    Session.objects.filter(pk=session.pk).update(rotated_at=F("rotated_at") - timedelta(seconds=seconds))


def make_older(session: Session, **delta: float) -> None:
    """Move everything about the session into the past."""
    by = timedelta(**delta)
    Session.objects.filter(pk=session.pk).update(
        **{field: F(field) - by for field in ("created_at", "rotated_at", "expires_at")}
    )
    session.refresh_from_db()


def refresh_until(session: Session, *, days: int) -> None:
    """Refresh the session once a day, as a client in daily use does."""
    for _ in range(days):
        make_older(session, days=1)
        assert refresh(refresh_of(session)).status_code == 200


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


def test_a_session_ends_90_days_after_its_sign_in_however_often_it_is_refreshed(alice):
    session = SessionFactory(user=alice)
    refresh_until(session, days=89)

    session.refresh_from_db()
    assert session.expires_at == session.created_at + timedelta(days=90)
    make_older(session, hours=23)
    last = refresh(refresh_of(session))
    assert last.status_code == 200
    make_older(session, hours=1)
    session.refresh_from_db()
    assert refresh(refresh_of(session)).status_code == 401
    assert not is_signed_in(client_of(alice, session))


def test_a_session_that_was_prolonged_before_there_was_an_end_is_not_refreshed_past_it(alice, charlie):
    session, other = SessionFactory(user=alice), SessionFactory(user=charlie)
    Session.objects.filter(pk=session.pk).update(created_at=F("created_at") - timedelta(days=90, hours=1))

    assert refresh(refresh_of(session)).status_code == 401
    session.refresh_from_db()
    assert (session.generation, session.revoked_at) == (1, None)
    assert refresh(refresh_of(other)).status_code == 200


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

    # The rotation that found nothing, the revocation, and whose session it was, for the audit.
    with django_assert_num_queries(3), committing():
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
    Session.objects.filter(pk=expired.pk).update(expires_at=datetime.now(UTC) - timedelta(minutes=5))
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
            wait_until(lambda: login.done() or somebody_waits_for_a_lock())
            assert not login.done()
        assert login.result(timeout=60) == "refused"

    assert not Session.objects.exists()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return cursor.fetchone()[0]
