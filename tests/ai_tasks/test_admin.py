"""Operators look at tasks; the ledger alone changes them."""

import pytest
from django.contrib.admin.sites import site
from django.test import RequestFactory

from ai_tasks.admin import AITaskAdmin
from ai_tasks.models import AITask
from tests.factories import AITaskFactory, UserFactory


@pytest.mark.parametrize("task_count", [1, 10, 100])
def test_the_list_costs_two_queries_with_any_number_of_tasks(db, task_count, django_assert_num_queries):
    for _ in range(task_count):
        AITaskFactory(user=UserFactory())
    request = RequestFactory().get("/admin/ai_tasks/aitask/")
    request.user = UserFactory(is_staff=True)
    admin = AITaskAdmin(AITask, site)

    with django_assert_num_queries(2):  # how many there are, and the rows with their users
        changes = admin.get_changelist_instance(request)
        owners = {task.user.email for task in changes.result_list}

    assert len(owners) == task_count


def test_nobody_adds_changes_or_deletes_a_task(db, rf):
    request = rf.get("/")
    request.user = UserFactory(is_staff=True)
    admin = AITaskAdmin(AITask, site)

    assert not admin.has_add_permission(request)
    assert not admin.has_change_permission(request)
    assert not admin.has_delete_permission(request)
    assert admin.has_view_permission(request)
