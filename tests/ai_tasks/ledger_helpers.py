"""A request, its answer, and a lease that has run out."""

from datetime import timedelta

from django.utils import timezone

from ai_tasks.models import AITask
from ai_tasks.runner import Answer

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
    AITask.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=5))
