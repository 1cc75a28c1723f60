"""Warming fills the very pages that users' first requests read."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Session
from notes.models import Note
from tests.conftest import client_of
from tests.factories import NoteFactory, SessionFactory, UserFactory


@pytest.fixture
def warm_caches(db, capsys):
    def warm_caches(**options):
        call_command("warm_caches", **options)
        return capsys.readouterr()

    return warm_caches


def long_ago(days=30):
    return timezone.now() - timedelta(days=days)


def test_the_first_requests_read_no_database(alice, warm_caches, django_assert_num_queries):
    session = SessionFactory(user=alice)
    NoteFactory(user=alice, title="warm")

    output = warm_caches()

    assert "Warmed 2 pages of 1 users." in output.out
    client = client_of(alice, session)
    with django_assert_num_queries(0):
        assert client.get("/api/notes/").json()["results"][0]["title"] == "warm"
        assert client.get("/api/users/me/").json()["email"] == alice.email


def test_warming_counts_against_no_limit(alice, warm_caches, settings):
    rates = {"burst": "60/min", "sustained": "1000/day"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    session = SessionFactory(user=alice)
    warm_caches()

    response = client_of(alice, session).get("/api/notes/")

    assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == ("60", "59")


def test_warming_again_finds_the_pages_there(alice, warm_caches):
    SessionFactory(user=alice)
    warm_caches()

    assert "Warmed 0 pages of 1 users." in warm_caches().out


def test_a_write_after_warming_is_seen(alice, warm_caches, make_note):
    session = SessionFactory(user=alice)
    warm_caches()
    make_note(alice, title="new")

    assert client_of(alice, session).get("/api/notes/").json()["results"][0]["title"] == "new"


def test_only_users_who_may_come_back_are_warmed(alice, charlie, warm_caches):
    SessionFactory(user=alice, rotated_at=long_ago())
    assert "of 0 users" in warm_caches().out

    note = NoteFactory(user=alice)
    assert "of 1 users" in warm_caches().out
    Note.objects.filter(pk=note.pk).update(updated_at=long_ago())
    assert "of 0 users" in warm_caches().out
    assert "of 1 users" in warm_caches(days=40).out

    SessionFactory(user=charlie, revoked_at=timezone.now())
    SessionFactory(user=charlie, expires_at=long_ago(1))
    SessionFactory(user=UserFactory(is_active=False))
    assert "of 0 users" in warm_caches().out


@pytest.mark.parametrize("sessions", [1, 3])
def test_a_user_with_several_sessions_is_warmed_once_with_the_latest(alice, warm_caches, sessions):
    for hours in range(sessions):
        SessionFactory(user=alice, rotated_at=timezone.now() - timedelta(hours=hours))

    assert "Warmed 2 pages of 1 users." in warm_caches().out


def test_the_limit_takes_those_who_came_last(alice, charlie, warm_caches, django_assert_num_queries):
    SessionFactory(user=alice, rotated_at=timezone.now() - timedelta(hours=1))
    session = SessionFactory(user=charlie)

    assert "Warmed 2 pages of 1 users." in warm_caches(limit=1).out
    with django_assert_num_queries(0):
        client_of(charlie, session).get("/api/notes/")


@pytest.mark.parametrize("users", [1, 10])
def test_a_user_costs_three_queries(warm_caches, users, django_assert_num_queries):
    for _ in range(users):
        NoteFactory.create_batch(3, user=SessionFactory().user)

    with django_assert_num_queries(1 + 3 * users):  # who; then each one's session, profile and notes
        warm_caches(verbosity=0)


def test_without_redis_it_says_so_and_succeeds(alice, warm_caches, dead_redis):
    SessionFactory(user=alice)

    output = warm_caches()

    assert "Redis does not answer" in output.err
    assert "Warmed 0 pages" in output.out


def test_without_a_page_cache_there_is_nothing_to_warm(alice, warm_caches, settings):
    settings.PAGE_CACHE_ENABLED = False
    SessionFactory(user=alice)

    assert "nothing to warm" in warm_caches().out
    assert Session.objects.count() == 1
