"""The admin of notes: to look at only, and as cheap for a hundred rows as for one."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notes.models import Chapter, Note, NoteVersion, Topic
from tests.factories import ChapterFactory, NoteFactory, TopicFactory, UserFactory

MODELS = ["note", "chapter", "topic", "noteversion"]


@pytest.fixture
def operator(db):
    client = Client()
    client.force_login(UserFactory(is_staff=True))
    return client


def make_rows(count):
    for _ in range(count):
        note = NoteFactory()
        TopicFactory(chapter=ChapterFactory(note=note), explanation="long")
        NoteVersion.objects.create(note=note, version=1, reason="edit", snapshot={"title": "old"})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("query", ["", "?q=1", "?q=student"])
def test_a_list_costs_the_same_for_any_number_of_rows_and_loads_no_long_columns(operator, model, query):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(f"/admin/notes/{model}/{query}").status_code == 200
        selected = " ".join(query["sql"].partition(" FROM ")[0] for query in queries)
        assert not [name for name in ("search", "explanation", "snapshot") if f'"{name}"' in selected]
        return len(queries)

    make_rows(1)
    cost()
    one = cost()
    make_rows(30)
    assert cost() == one


@pytest.mark.parametrize(("name", "model"), list(zip(MODELS, [Note, Chapter, Topic, NoteVersion], strict=True)))
def test_a_row_can_be_seen_but_not_written(operator, name, model):
    make_rows(1)
    row = model.objects.get()

    assert operator.get(f"/admin/notes/{name}/{row.pk}/change/").status_code == 200
    assert operator.post(f"/admin/notes/{name}/{row.pk}/change/", {"title": "mine"}).status_code == 403
    assert operator.post(f"/admin/notes/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert operator.get(f"/admin/notes/{name}/add/").status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("name", MODELS)
def test_students_do_not_get_in(alice, name):
    client = Client()
    client.force_login(alice)

    assert client.get(f"/admin/notes/{name}/")["Location"].startswith("/admin/login/")
