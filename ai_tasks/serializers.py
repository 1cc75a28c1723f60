"""AI tasks as JSON."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from ai_tasks.asking.states import QUOTING, with_states
from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask
from ai_tasks.money import CURRENCY, Money, shown
from ai_tasks.providers import configured_model
from ai_tasks.reads import links_of
from utils.http.serializers import StrictIntegerField, StrictSerializer

MAX_ID = 2**63 - 1


@extend_schema_field(
    {
        "oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["propose"]}],
        "description": "Whether the answer is written to the topic; `propose` makes it a proposal to decide about.",
    }
)
class ApplyField(serializers.Field[Any, Any, Any, Any]):
    """A field that accepts only ``true``, ``false`` and ``"propose"``."""

    default_error_messages = {"invalid": 'Expected true, false or "propose".'}

    def to_internal_value(self, data: Any) -> bool | str:
        if not (isinstance(data, bool) or data == "propose"):
            self.fail("invalid")
        return data

    def to_representation(self, value: bool | str) -> bool | str:
        return value


class SubmissionSerializer(StrictSerializer):
    """What is asked of AI; `request_data` is checked by the schema of its request type."""

    request_type = serializers.CharField(max_length=30)
    request_data = serializers.DictField()
    topic_id = StrictIntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=MAX_ID)
    apply = ApplyField(required=False, default=False)


class TaskFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=AITask.Status.choices, required=False)
    topic_id = serializers.IntegerField(required=False, min_value=1, max_value=MAX_ID)


class AnswerSourceSerializer(serializers.Serializer):
    """A source of an answer."""

    title = serializers.CharField()
    url = serializers.CharField()


class ProposedCardSerializer(serializers.Serializer):
    """A card as it was proposed: see `/api/study/cards/{id}/`. `block_id` is null if its passage is unknown."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[("basic", "Basic"), ("cloze", "Cloze"), ("reversed", "Reversed")])
    front = serializers.CharField()
    back = serializers.CharField()
    block_id = serializers.CharField(allow_null=True)


class QuoteSerializer(serializers.Serializer):
    """A quote: words of a block that support a sentence.

    `text` is the block's text from `start` to `end` (half-open, in code points) at the time of the answer. `state` is
    `current` while the block has the same text, `changed` once its text is another, and `gone` if the block was
    deleted or its note is in the trash.
    """

    note_id = serializers.IntegerField()
    topic_id = serializers.IntegerField()
    block_id = serializers.CharField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    text = serializers.CharField()
    state = serializers.ChoiceField(choices=["current", "changed", "gone"])


class SentenceSerializer(serializers.Serializer):
    """A sentence of an answer, with those of its quotes that are in the notes.

    `supported`: it has quotes, and all are in the notes; `misquoted`: one is not; `unsupported`: it has none. The
    server checks that quotes exist, not that they prove the sentence.
    """

    text = serializers.CharField()
    verdict = serializers.ChoiceField(choices=["supported", "misquoted", "unsupported"])
    quotes = QuoteSerializer(many=True)


class ResultSerializer(serializers.Serializer):
    """An answer. `notice` says what a reader must know about it, such as that no model was used.

    Only `ask` has `sentences`, and only `make_cards` has `cards`.
    """

    content = serializers.CharField()
    code = serializers.CharField(allow_null=True)
    code_language = serializers.CharField(allow_null=True)
    sources = AnswerSourceSerializer(many=True)
    notice = serializers.CharField(allow_null=True)
    cards = ProposedCardSerializer(many=True, required=False)
    sentences = SentenceSerializer(many=True, required=False)
    proposal_id = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text='With `apply: "propose"`: the proposal made from the answer; null without one.',
    )

    def to_representation(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        """Of a task that does not propose, without ``proposal_id``."""
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if name != "proposal_id" or name in instance}


class TaskErrorSerializer(serializers.Serializer):
    """Why a task failed."""

    code = serializers.CharField(source="error_code")
    detail = serializers.CharField(source="error_detail")


class MoneySerializer(serializers.Serializer):
    """An amount with six decimals."""

    amount = serializers.RegexField(r"^[0-9]+\.[0-9]{6}$")
    currency = serializers.ChoiceField(choices=[CURRENCY])

    def to_representation(self, instance: Decimal) -> Money:  # type: ignore[override]  # of an amount, not of a row
        return shown(instance)


class TokensSerializer(serializers.Serializer):
    """The tokens and the cost of a task. `cost` is null if no model with a price was called."""

    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    estimated = serializers.BooleanField(source="usage_estimated")
    cost = MoneySerializer(allow_null=True)


class LinksSerializer(serializers.Serializer):
    """Links of the task. They are relative, except `events`, which may be on another host."""

    self = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()


@extend_schema_serializer(component_name="TaskSummary")
class TaskListSerializer(serializers.ModelSerializer):
    """A task without its answer."""

    timestamp = serializers.DateTimeField(source="updated_at")
    request_data = serializers.DictField()
    topic_id = serializers.IntegerField(allow_null=True)
    apply = ApplyField(source="asked_to_apply", read_only=True)
    retry_of = serializers.UUIDField(source="retry_of_id", allow_null=True)
    applicable = serializers.BooleanField(
        source="is_applicable",
        help_text="Whether the result may replace a text of the user. False until the task has succeeded, for an "
        "incomplete answer, and for a result that only says that there is no answer.",
    )
    error = serializers.SerializerMethodField()
    usage = TokensSerializer(source="*")
    links = serializers.SerializerMethodField()

    class Meta:
        model = AITask
        fields = [
            "id", "request_type", "status", "progress", "message", "timestamp", "request_data", "topic_id", "apply",
            "applicable", "error", "provider", "model", "usage", "cached", "retry_of", "attempt", "applied_at",
            "created_at", "started_at", "finished_at", "links",
        ]  # fmt: skip
        read_only_fields = fields

    def get_error(self, task: AITask) -> TaskErrorSerializer(allow_null=True):  # type: ignore[valid-type]
        return TaskErrorSerializer(task).data if task.error_code else None

    def get_links(self, task: AITask) -> LinksSerializer:
        return links_of(task.pk)  # type: ignore[return-value]  # the annotation is the schema's


@extend_schema_serializer(component_name="Task")
class TaskSerializer(TaskListSerializer):
    """A task with its answer, once there is one."""

    result = serializers.SerializerMethodField()

    class Meta(TaskListSerializer.Meta):
        fields = [*TaskListSerializer.Meta.fields, "result"]
        read_only_fields = fields

    def get_result(self, task: AITask) -> ResultSerializer(allow_null=True):  # type: ignore[valid-type]
        result = task.result
        if task.request_type in QUOTING:
            result = with_states(result, user_id=task.user_id)
        return None if result is None else ResultSerializer(result).data


@extend_schema_serializer(component_name="AcceptedTask")
class AcceptedTaskSerializer(TaskSerializer):
    """A task that was accepted. `task_id` is its `id`."""

    task_id = serializers.UUIDField(source="id")

    class Meta(TaskSerializer.Meta):
        fields = ["task_id", *TaskSerializer.Meta.fields]
        read_only_fields = fields


class TaskDeltaEventSerializer(serializers.Serializer):
    """More text of an answer. `offset` is how many characters the attempt wrote before."""

    id = serializers.UUIDField(help_text="The task's id.")
    attempt = serializers.IntegerField()
    offset = serializers.IntegerField()
    text = serializers.CharField()


class TaskRestartedEventSerializer(serializers.Serializer):
    """Another attempt starts: discard the text so far."""

    id = serializers.UUIDField(help_text="The task's id.")
    attempt = serializers.IntegerField()


class TaskEventDataSerializer(serializers.Serializer):
    """The data of an event of one task's stream."""


@extend_schema_serializer(component_name="RequestTypeDescription")
class RequestTypeSerializer(serializers.Serializer):
    """An AI request type."""

    request_type = serializers.ChoiceField(choices=AITask.RequestType.choices)
    applies_to = serializers.ChoiceField(choices=["explanation", "code"], allow_null=True)
    schema = serializers.DictField(help_text="JSON Schema (2020-12) of `request_data`.")
    model = serializers.CharField(allow_null=True, help_text="The model that answers; null if none is configured.")


class FeatureUsageSerializer(serializers.Serializer):
    """Your usage of one request type today (UTC). `cost` is null if no model with a price was called."""

    tasks = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = MoneySerializer(allow_null=True)


class BudgetSerializer(serializers.Serializer):
    """Your AI budget of today (UTC). A task reserves its highest possible cost; its end replaces that by its cost."""

    spent = MoneySerializer()
    reserved = MoneySerializer()
    limit = MoneySerializer(allow_null=True)


class UsageSerializer(serializers.Serializer):
    """Your AI usage today (UTC), and what remains this hour; null if there is no limit."""

    tasks_today = serializers.IntegerField()
    input_tokens_today = serializers.IntegerField()
    output_tokens_today = serializers.IntegerField()
    estimated = serializers.BooleanField(help_text="Some usage was not reported by the provider: tokens are estimates.")
    requests_left_this_hour = serializers.IntegerField(allow_null=True)
    next_request_at = serializers.DateTimeField(allow_null=True)
    features = serializers.DictField(
        child=FeatureUsageSerializer(),
        help_text="By request type; `embeddings` covers notes and questions, and has no tasks.",
    )
    budget = BudgetSerializer()


def request_types() -> list[dict[str, Any]]:
    return [
        {
            "request_type": name,
            "applies_to": handler.applies_to,
            "schema": handler.schema,
            "model": configured_model(name),
        }
        for name, handler in HANDLERS.items()
    ]
