"""What PostgreSQL will never take is paid once, and not tried again until the lease ends."""

from collections.abc import Iterator

import pytest
from django.db import connection

from ai_tasks import ledger
from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from notes.models import Topic
from tests.factories import TopicFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["54000", "53100", "22001"])
def refusing_versions(request) -> Iterator[None]:
    """No version of a note can be kept: it is too large for PostgreSQL, or the disk is full."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'refused' USING ERRCODE = '{request.param}'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON notes_noteversion FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION refuse CASCADE")


def test_an_answer_that_cannot_be_recorded_ends_its_task_at_once(alice, refusing_versions, monkeypatch):
    text = "A loop repeats  its body. a loop ends when its condition is false."
    topic = TopicFactory(chapter__note__user=alice, explanation=text)
    task = ledger.submit(
        user_id=alice.pk, topic_id=topic.pk, apply=True, request_type="improve_explanation", request_data={}
    ).task
    monkeypatch.setattr("ai_tasks.worker.RECORD_RETRY_SECONDS", 3600)  # a second try would not come back

    Worker().execute(task.pk)

    ended = AITask.objects.get()
    assert ended.status in AITask.TERMINAL
    assert (ended.attempt, ended.applied_at, ended.lease_expires_at) == (1, None, None)
    assert Topic.objects.get().explanation == text


def test_the_same_answer_is_applied_where_nothing_refuses_it(alice):
    topic = TopicFactory(chapter__note__user=alice, explanation="A loop repeats  its body. it ends.")
    task = ledger.submit(
        user_id=alice.pk, topic_id=topic.pk, apply=True, request_type="improve_explanation", request_data={}
    ).task

    Worker().execute(task.pk)

    assert AITask.objects.get().applied_at is not None
