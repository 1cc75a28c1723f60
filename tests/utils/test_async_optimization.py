"""What became of an AI task, for our own code."""

from uuid import UUID

import pytest

from tests.factories import AITaskFactory
from utils.async_optimization import AsyncTaskManager

RESULT = {"content": "A loop repeats.", "code": None, "code_language": None, "sources": [], "notice": None}


@pytest.mark.parametrize("spell", [lambda pk: pk, str, lambda pk: pk.hex], ids=["uuid", "text", "hex"])
def test_a_task_is_found_by_its_id_and_by_the_text_of_its_id(db, spell):
    task = AITaskFactory(status="running", progress=40, message="Writing")
    done = AITaskFactory(status="succeeded", result=RESULT)

    assert AsyncTaskManager.get_task_status(spell(task.pk)) == {
        "status": "running",
        "progress": 40,
        "message": "Writing",
        "timestamp": task.updated_at,
    }
    assert AsyncTaskManager.get_task_result(spell(task.pk)) is None
    assert AsyncTaskManager.get_task_result(spell(done.pk)) == RESULT


@pytest.mark.parametrize("task_id", [UUID(int=1), str(UUID(int=1)), "nonsense", "", "\0"])
def test_an_id_that_no_task_has_has_no_status_and_no_result(db, task_id):
    assert AsyncTaskManager.get_task_status(task_id) == {
        "status": None,
        "progress": 0,
        "message": "",
        "timestamp": None,
    }
    assert AsyncTaskManager.get_task_result(task_id) is None
