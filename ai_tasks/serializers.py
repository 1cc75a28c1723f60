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
    """What an answer rests on."""

    title = serializers.CharField()
    url = serializers.CharField()


class ProposedCardSerializer(serializers.Serializer):
    """A card as it was proposed: see `/api/study/cards/{id}/`. `block_id` is null if its passage is not known."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=[("basic", "Basic"), ("cloze", "Cloze"), ("reversed", "Reversed")])
    front = serializers.CharField()
    back = serializers.CharField()
    block_id = serializers.CharField(allow_null=True)


class QuoteSerializer(serializers.Serializer):
    """The words of a block that a sentence rests on.

    `text` is the block's own, from `start` to `end` (half-open, in code points) of the block's `text` when it was
    quoted. `state` is `current` while the block has that text, `changed` once it has another, `gone` without it, and
    while its note is in the trash.
    """

    note_id = serializers.IntegerField()
    topic_id = serializers.IntegerField()
    block_id = serializers.CharField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    text = serializers.CharField()
    state = serializers.ChoiceField(choices=["current", "changed", "gone"])


class SentenceSerializer(serializers.Serializer):
    """A sentence of an answer, with those of its quotes that stand in the notes.

    `supported`: it has quotes, and all stand; `misquoted`: one does not; `unsupported`: it has none. That a quote
    stands is checked, not that it proves the sentence.
    """

    text = serializers.CharField()
    verdict = serializers.ChoiceField(choices=["supported", "misquoted", "unsupported"])
    quotes = QuoteSerializer(many=True)


class ResultSerializer(serializers.Serializer):
    """An answer. `notice` says what a reader must know about it, such as that no model was asked.

    `sentences` is there for `ask` only, `cards` for `make_cards`.
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
    """What a task took. `cost` is null where no model with a price was asked."""

    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    estimated = serializers.BooleanField(source="usage_estimated")
    cost = MoneySerializer(allow_null=True)


class LinksSerializer(serializers.Serializer):
    """Where to go on. Relative, but `events`, which may be on a host of its own."""

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
        "incomplete answer, and for a result that only says that there is none.",
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
    """Another attempt begins: forget the text so far."""

    id = serializers.UUIDField(help_text="The task's id.")
    attempt = serializers.IntegerField()


class TaskEventDataSerializer(serializers.Serializer):
    """The data of an event of one task's stream."""


@extend_schema_serializer(component_name="RequestTypeDescription")
class RequestTypeSerializer(serializers.Serializer):
    """What can be asked of AI."""

    request_type = serializers.ChoiceField(choices=AITask.RequestType.choices)
    applies_to = serializers.ChoiceField(choices=["explanation", "code"], allow_null=True)
    schema = serializers.DictField(help_text="JSON Schema (2020-12) of `request_data`.")
    model = serializers.CharField(allow_null=True, help_text="The model that answers; null if none is configured.")


class FeatureUsageSerializer(serializers.Serializer):
    """What you had of one request type today (UTC). `cost` is null where no model with a price was asked."""

    tasks = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost = MoneySerializer(allow_null=True)


class BudgetSerializer(serializers.Serializer):
    """Your money for AI today (UTC): a task reserves the most that it can cost, and its end settles that."""

    spent = MoneySerializer()
    reserved = MoneySerializer()
    limit = MoneySerializer(allow_null=True)


class UsageSerializer(serializers.Serializer):
    """What you had of AI today (UTC), and what is left this hour; null where there is no limit."""

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
