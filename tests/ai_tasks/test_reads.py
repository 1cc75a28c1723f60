"""The fast read of a task shows what its serializer shows, for every field."""

import itertools

import orjson
import pytest
from django.utils import timezone

from ai_tasks import reads
from ai_tasks.models import AITask
from ai_tasks.serializers import AcceptedTaskSerializer, TaskSerializer
from tests.factories import AITaskFactory, TopicFactory
from utils.http.json import dumps

RESULT = {
    "content": "é ☃",
    "code": None,
    "code_language": None,
    "sources": [{"title": "x", "url": "/y"}],
    "notice": None,
}


@pytest.fixture
def tasks(alice) -> list[AITask]:
    now = timezone.now()
    topic = TopicFactory(chapter__note__user=alice)
    tasks = [
        AITaskFactory(user=alice, status=status, result=result, topic=owner, model=model, applied_at=moment)
        for status, (result, model, moment), owner in itertools.product(
            AITask.Status.values, [(None, None, None), (RESULT, "m", now)], [None, topic]
        )
    ]
    proposed = {**RESULT, "proposal_id": "fb39bb45-5cf6-4e9d-bb29-203590876a39"}
    tasks.append(AITaskFactory(user=alice, proposes=True, result=proposed))
    tasks.append(AITaskFactory(user=alice, apply=True, result={**RESULT, "proposal_id": None}))
    tasks.append(AITaskFactory(user=alice, retry_of=tasks[0], error_code="x", error_detail="y", usage_estimated=True))
    return tasks


def test_the_detail_is_the_serializers_for_every_field(alice, tasks, django_assert_num_queries):
    for task in tasks:
        task.refresh_from_db()
        with django_assert_num_queries(1):
            fast = reads.detail(task.pk, user_id=alice.pk)

        assert orjson.loads(dumps(fast)) == orjson.loads(dumps(TaskSerializer(task).data))


def test_the_answer_to_a_submission_is_the_serializers_for_every_field(tasks):
    for task in tasks:
        assert orjson.loads(dumps(reads.accepted(task))) == orjson.loads(dumps(AcceptedTaskSerializer(task).data))


def test_a_strangers_task_does_not_exist(charlie, tasks):
    with pytest.raises(AITask.DoesNotExist):
        reads.detail(tasks[0].pk, user_id=charlie.pk)
