"""The demo user's notes."""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from notes.management.commands.seed_demo import DEMO_EMAIL, DEMO_PASSWORD, read_demo_notes
from notes.models import Chapter, Note, Topic
from utils.query_optimization import QueryOptimizer


@pytest.fixture
def seed(db, capsys):
    def seed():
        call_command("seed_demo")
        return capsys.readouterr().out

    return seed


def rows():
    return [list(model.objects.order_by("pk").values()) for model in (User, Note, Chapter, Topic)]


def test_the_demo_user_can_sign_in_and_has_thirty_notes_to_read(client, seed):
    assert f"Created 30 notes of {DEMO_EMAIL}" in seed()

    signed_in = client.post("/api/auth/login/", {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}, format="json")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_in.json()['access']}")
    notes = client.get("/api/notes/?page_size=100").json()["results"]
    assert [note["title"] for note in notes] == [note["title"] for note in read_demo_notes()]
    assert all(note["chapter_count"] and note["topic_count"] and note["tags"] for note in notes)
    assert [note["status"] for note in notes] == [note["status"] for note in read_demo_notes()]


def test_seeding_again_changes_nothing(seed):
    seed()
    before = rows()

    assert "nothing was changed" in seed()
    assert rows() == before


def test_what_the_demo_user_did_stays(seed):
    seed()
    User.objects.filter(email=DEMO_EMAIL).update(name="Me")
    Note.objects.exclude(pk=Note.objects.latest("pk").pk).delete()
    Note.objects.update(title="Mine")
    before = rows()

    seed()
    assert rows() == before


def test_seeding_takes_few_statements(seed, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        seed()


def test_demo_notes_are_found_by_their_words(seed):
    seed()
    demo = User.objects.get(email=DEMO_EMAIL)

    assert QueryOptimizer.get_notes_for_list(demo, {"search": "loops"}).exists()


def test_production_has_no_demo_user(db, settings):
    settings.IS_PRODUCTION = True

    with pytest.raises(CommandError, match="refused in production"):
        call_command("seed_demo")
    assert not User.objects.exists()
