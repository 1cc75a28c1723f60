"""Rows that are inserted with a remembered statement are the rows that Django would have inserted."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, JSONField, Model, Value
from django.utils import timezone

from ai_tasks.models import AITask
from notes.models import Note
from tests.factories import AITaskFactory
from utils.compiled_writes import insert_row


def row(instance: Model) -> dict:
    names = [field.attname for field in instance._meta.concrete_fields if not field.primary_key]
    [found] = type(instance).objects.filter(pk=instance.pk).values(*names)
    return found


def new_task(user, **values) -> AITask:
    now = timezone.now()
    return AITask(user=user, created_at=now, updated_at=now, **values)


@pytest.mark.parametrize("values", [{}, {"request_type": "summarize", "result": {"content": "é"}, "applied_at": None}])
def test_a_row_is_what_save_makes_of_it(alice, values):
    values = {"request_data": {"topic": "loops", "deep": [1, None, "'"]}, **values}
    task = new_task(alice, **values)
    same = AITask(**{field.attname: getattr(task, field.attname) for field in task._meta.concrete_fields})
    same.pk = AITask().pk

    insert_row(task)
    same.save(force_insert=True)

    assert row(task) == row(same)
    assert (task._state.adding, task._state.db) == (same._state.adding, same._state.db) == (False, "default")


def test_rows_are_one_query_each_and_no_two_alike(alice, django_assert_num_queries):
    with django_assert_num_queries(3):
        for number in range(3):
            insert_row(new_task(alice, request_data={"number": number}, progress=number))

    assert sorted(AITask.objects.values_list("progress", "request_data__number")) == [(0, 0), (1, 1), (2, 2)]


def test_a_row_that_exists_is_an_error(alice):
    task = AITaskFactory(user=alice)

    with pytest.raises(IntegrityError), transaction.atomic():
        insert_row(new_task(alice, pk=task.pk, request_data={}))


@pytest.mark.parametrize("values", [{"pk": None}, {"progress": F("attempt")}, {"result": Value(None, JSONField())}])
def test_what_is_no_plain_value_is_an_error(alice, values):
    with pytest.raises(ValueError, match="no plain value"):
        insert_row(new_task(alice, request_data={}, **values))
    with pytest.raises(ValueError, match="created_at has no plain value"):
        insert_row(AITask(user=alice, request_data={}))

    assert not AITask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_refused_spoils_its_transaction(alice):
    task, called = AITaskFactory(user=alice), []

    with transaction.atomic():
        transaction.on_commit(lambda: called.append(1))
        with pytest.raises(IntegrityError):
            insert_row(new_task(alice, pk=task.pk, request_data={}))

    assert called == []


def test_columns_that_the_database_makes_are_left_to_it(alice):
    now = timezone.now()

    insert_row(Note(pk=2**40, user=alice, title="Loops", created_at=now, updated_at=now))

    with connection.cursor() as cursor:
        cursor.execute("SELECT search FROM notes_note")
        assert cursor.fetchone() == ("'loop':1A",)
