"""Users and notes to measure on."""

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Session, User
from accounts.tokens import read_access
from notes.models import Chapter, Note, Topic


@pytest.fixture
def seed(db, capsys):
    def seed(*arguments):
        call_command("seed_load", *arguments, "--verbosity=0")
        return capsys.readouterr().out

    return seed


def what_users_see():
    notes = Note.objects.order_by("user__email", "created_at")
    return [
        [*notes.values_list("user__email", "title", "status", "tags", "version", "created_at", "updated_at")],
        [*notes.values_list("title", "chapters__title", "chapters__order")],
        [
            *Topic.objects.order_by("chapter__note__user__email", "chapter__note__created_at", "chapter", "order")
            .values_list("title", "order", "explanation", "code", "code_language", "sources")
        ],
    ]  # fmt: skip


def test_every_user_has_as_many_notes_chapters_and_topics_as_were_asked_for(seed):
    assert "Created 3 users" in seed("--users=3", "--notes=4", "--chapters=2", "--topics=3")

    assert [user.notes.count() for user in User.objects.all()] == [4, 4, 4]
    assert Chapter.objects.count() == 3 * 4 * 2
    assert Topic.objects.count() == 3 * 4 * 2 * 3
    assert all(list(chapter.topics.values_list("order", flat=True)) == [0, 1, 2] for chapter in Chapter.objects.all())


def test_the_same_arguments_make_the_same_notes(seed):
    seed("--users=2", "--notes=3")
    first = what_users_see()
    User.objects.all().delete()

    seed("--users=2", "--notes=3")
    assert what_users_see() == first


def test_users_who_exist_are_left_as_they_are(seed):
    seed("--users=1", "--notes=2")
    User.objects.update(name="Me")
    Note.objects.update(title="Mine")

    assert "Created 1 users" in seed("--users=2", "--notes=3")
    assert User.objects.get(email="load-1@noteassist.local").name == "Me"
    assert Note.objects.filter(title="Mine").count() == 2
    assert Note.objects.count() == 5


def test_one_token_a_line_opens_each_user_by_a_session_of_its_own(seed, tmp_path, client):
    path = tmp_path / "tokens"
    seed("--users=3", "--notes=2", f"--tokens={path}", "--token-days=2")

    tokens = path.read_text().splitlines()
    claims = [read_access(token) for token in tokens]
    users = [User.objects.get(email=f"load-{number}@noteassist.local").pk for number in (1, 2, 3)]
    assert [claim.user_id for claim in claims] == users
    assert sorted(claim.session_id for claim in claims) == sorted(Session.objects.values_list("pk", flat=True))
    assert path.stat().st_mode & 0o777 == 0o600

    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens[1]}")
    notes = client.get("/api/notes/").json()["results"]
    mine = Note.objects.owned_by(users[1])
    assert [note["id"] for note in notes] == list(mine.order_by("-updated_at").values_list("pk", flat=True))


def test_load_users_can_log_in(seed, client):
    seed("--users=1", "--notes=0")

    body = {"email": "load-1@noteassist.local", "password": "load-password"}
    assert client.post("/api/auth/login/", body, format="json").status_code == 200


def test_notes_are_written_in_few_statements(seed, django_assert_max_num_queries):
    with django_assert_max_num_queries(25):
        seed("--users=50", "--notes=20")


def test_production_has_no_load_users(db, settings):
    settings.IS_PRODUCTION = True

    with pytest.raises(CommandError, match="refused in production"):
        call_command("seed_load", "--users=1", "--notes=1")
    assert not User.objects.exists()
