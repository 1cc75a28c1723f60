"""AI tasks as JSON."""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework import serializers

from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask
from utils.serializers import StrictBooleanField, StrictIntegerField, StrictSerializer

MAX_ID = 2**63 - 1


class SubmissionSerializer(StrictSerializer):
    """What a client sends; ``request_data`` is checked by the schema of its request type."""

    request_type = serializers.CharField(max_length=30)
    request_data = serializers.DictField()
    topic_id = StrictIntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=MAX_ID)
    apply = StrictBooleanField(required=False, default=False)


class TaskFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=AITask.Status.choices, required=False)
    topic_id = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)


class AnswerSourceSerializer(serializers.Serializer):
    title = serializers.CharField()
    url = serializers.CharField()


class ResultSerializer(serializers.Serializer):
    """An answer. ``notice`` says what a reader must know about it, as that no model was asked."""

    content = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    code_language = serializers.CharField(allow_null=True)
    sources = AnswerSourceSerializer(many=True)
    notice = serializers.CharField(allow_null=True)


class TaskErrorSerializer(serializers.Serializer):
    code = serializers.CharField(source="error_code")
    detail = serializers.CharField(source="error_detail")


class TokensSerializer(serializers.Serializer):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    estimated = serializers.BooleanField(source="usage_estimated")


class LinksSerializer(serializers.Serializer):
    """Relative, but ``events``, which is on the host of ``EVENTS_BASE_URL`` where that is set."""

    self = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()


class TaskListSerializer(serializers.ModelSerializer):
    """A task without its answer."""

    timestamp = serializers.DateTimeField(source="updated_at")
    topic_id = serializers.IntegerField(allow_null=True)
    retry_of = serializers.UUIDField(source="retry_of_id", allow_null=True)
    error = serializers.SerializerMethodField()
    usage = TokensSerializer(source="*")
    links = serializers.SerializerMethodField()

    class Meta:
        model = AITask
        fields = [
            "id", "request_type", "status", "progress", "message", "timestamp", "request_data", "topic_id", "apply",
            "error", "provider", "model", "usage", "cached", "retry_of", "attempt", "applied_at", "created_at",
            "started_at", "finished_at", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_error(self, task: AITask) -> TaskErrorSerializer(allow_null=True):  # type: ignore[valid-type]
        return TaskErrorSerializer(task).data if task.error_code else None

    def get_links(self, task: AITask) -> LinksSerializer:
        return links_of(task.pk)  # type: ignore[return-value]  # the annotation is the schema's


class TaskSerializer(TaskListSerializer):
    """A task with its answer, once there is one."""

    result = ResultSerializer(allow_null=True)

    class Meta(TaskListSerializer.Meta):
        fields = [*TaskListSerializer.Meta.fields, "result"]
        read_only_fields = fields


class AcceptedTaskSerializer(TaskSerializer):
    """The answer to a submission names the id twice, so that a client needs to know nothing else of a task."""

    task_id = serializers.UUIDField(source="id")

    class Meta(TaskSerializer.Meta):
        fields = ["task_id", *TaskSerializer.Meta.fields]
        read_only_fields = fields


class RequestTypeSerializer(serializers.Serializer):
    request_type = serializers.ChoiceField(choices=AITask.RequestType.choices)
    applies_to = serializers.ChoiceField(choices=["explanation", "code"], allow_null=True)
    schema = serializers.DictField(help_text="JSON Schema (2020-12) of `request_data`.")


class UsageSerializer(serializers.Serializer):
    """What the user had of AI today (UTC), and what is left this hour; null where there is no limit."""

    tasks_today = serializers.IntegerField()
    input_tokens_today = serializers.IntegerField()
    output_tokens_today = serializers.IntegerField()
    estimated = serializers.BooleanField(help_text="Some provider reported no usage: tokens are estimates.")
    requests_left_this_hour = serializers.IntegerField(allow_null=True)
    next_request_at = serializers.DateTimeField(allow_null=True)


def task_path(task_id: UUID) -> str:
    return f"/api/ai/tasks/{task_id}/"


def links_of(task_id: UUID) -> dict[str, str]:
    path = task_path(task_id)
    return {"self": path, "events": f"{settings.EVENTS_BASE_URL}{path}events/", "cancel": f"{path}cancel/"}


def request_types() -> list[dict[str, Any]]:
    return [
        {"request_type": name, "applies_to": handler.applies_to, "schema": handler.schema}
        for name, handler in HANDLERS.items()
    ]
