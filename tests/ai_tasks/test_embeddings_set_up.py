"""Embeddings where something is missing: the extension, a variable, the provider."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from ai_tasks.checks import vectors_can_be_searched
from ai_tasks.embedding_rows import EmbeddingModel, PassageVector
from ai_tasks.embeddings import extension
from ai_tasks.embeddings.indexing import index_due_notes
from ai_tasks.embeddings.searching import nearest_passages
from notes.models import Topic
from tests.ai_tasks.conftest import EMBEDDING_MODEL
from tests.factories import TopicFactory
from tests.monitoring.test_doctor import examined_here


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def drop_extension() -> None:
    run("ALTER TABLE ai_tasks_passagevector ALTER vector TYPE real[]; DROP EXTENSION vector")


@pytest.fixture
def no_extension(embeddings) -> None:
    """Every table is there all the same: this database was migrated without it."""
    drop_extension()


def test_migrate_installs_the_extension_once_embeddings_are_configured(no_extension, settings):
    settings.EMBEDDINGS_ARE_ON = False
    call_command("migrate", verbosity=0)
    assert not extension.is_installed()

    settings.EMBEDDINGS_ARE_ON = True
    call_command("migrate", verbosity=0, stderr=StringIO())

    assert extension.is_installed()


def test_vectors_are_kept_in_the_type_that_is_compared_once_the_extension_is_there(no_extension, alice):
    topic = TopicFactory(chapter__note__user=alice)
    rows = [("0" * 32, 2, [0.6, -0.8]), ("1" * 32, 0, [0.0]), ("2" * 32, 0, [])]  # the last one of an earlier version
    for digest, dimension, vector in rows:
        PassageVector.objects.create(
            user=alice, topic=topic, hash=digest, model="m", dimension=dimension, vector=vector
        )

    assert extension.install()
    assert extension.install(), "again it changes nothing"

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, NULL), attstorage FROM pg_attribute "
            "WHERE attrelid = 'ai_tasks_passagevector'::regclass AND attname = 'vector'"
        )
        assert cursor.fetchone() == ("vector", "m")  # in the row itself
    kept = PassageVector.objects.order_by("hash").values_list("vector", flat=True)
    assert list(kept) == [pytest.approx([0.6, -0.8]), [0], [0]]


def test_where_only_a_superuser_could_do_so_vectors_are_found_as_they_are(no_extension, embeddings, alice, caplog):
    run("CREATE EXTENSION vector")
    topic = TopicFactory(chapter__note__user=alice, explanation="The kitten is a feline that can purr.")
    index_due_notes()
    run("CREATE ROLE somebody; GRANT ALL ON ALL TABLES IN SCHEMA public TO somebody; SET LOCAL ROLE somebody")

    assert extension.install()

    assert "Vector search is slower" in caplog.text
    run("RESET ROLE")
    near = nearest_passages("Which cat purrs?", user_id=alice.pk, topics=Topic.objects.owned_by(alice.pk))
    assert [(each.topic_id, each.similarity) for each in near] == [(topic.pk, pytest.approx(1))]


def test_a_role_that_may_not_install_it_is_told_and_migrates_all_the_same(no_extension, caplog):
    run("CREATE ROLE somebody; GRANT ALL ON ALL TABLES IN SCHEMA public TO somebody; SET LOCAL ROLE somebody")

    call_command("migrate", verbosity=0, stderr=StringIO())

    assert not extension.is_installed()
    assert "have a superuser run CREATE EXTENSION vector" in caplog.text
    assert "permission denied" in caplog.text


def test_checks_of_the_database_warn_where_it_is_missing(no_extension):
    (warning,) = vectors_can_be_searched(databases=["default"])

    assert warning.id == "noteassist.W002"
    out = StringIO()
    call_command("check", databases=["default"], stderr=out)
    assert "EMBEDDINGS_* is set, but the database lacks the extension vector." in out.getvalue()


def test_checks_say_nothing_where_it_is_there_or_not_wanted(embeddings, settings):
    assert vectors_can_be_searched(databases=["default"]) == []
    assert vectors_can_be_searched(databases=None) == []
    drop_extension()
    settings.EMBEDDINGS_ARE_ON = False
    assert vectors_can_be_searched(databases=["default"]) == []


def test_the_doctor_names_each_thing_that_is_missing(no_extension, settings, embeddings):
    EmbeddingModel.objects.create(name=EMBEDDING_MODEL, failures=3, error_code="provider_failed")
    settings.EMBEDDINGS_BASE_URL = "http://127.0.0.1:1/v1"
    settings.AI_PRICES = {"another": None}

    told = examined_here()["embeddings"]

    assert told[0] == extension.MISSING
    assert told[1].startswith("the AI provider at http://127.0.0.1:1/v1 cannot be reached")
    assert told[2:] == [
        "the last 3 calls for embeddings failed: provider_failed; 0 notes wait",
        f"no price for {EMBEDDING_MODEL} (AI_PRICES): what embeddings cost counts 0",
    ]


def test_the_doctor_has_nothing_to_say_where_all_is_well(embeddings):
    assert "embeddings" not in examined_here()
