"""A request, its answer, and a lease that has run out."""

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from ai_tasks.answering import Answer
from ai_tasks.models import AITask

EXPLAIN = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}
ANSWER = Answer(
    result={"content": "A loop repeats.", "code": "", "code_language": "", "sources": [], "notice": None},
    provider="offline",
    model=None,
    input_tokens=3,
    output_tokens=5,
    usage_estimated=False,
)


def expire_lease(task: AITask) -> None:
    """As it is some minutes after the worker has died that had the task's message."""
    AITask.objects.filter(pk=task.pk).update(
        lease_expires_at=timezone.now() - timedelta(minutes=5), published_at=F("published_at") - timedelta(minutes=10)
    )
