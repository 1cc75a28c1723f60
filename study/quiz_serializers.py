"""Serializers of quizzes and recalls: what clients send, and what the API returns."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from notes.fields import TagsField
from study.models import Quiz, Recall
from study.quizzes.making import KINDS
from study.serializers import SideField
from utils.http.serializers import (
    BoundedListField,
    BoundedListSerializer,
    StrictIntegerField,
    StrictSerializer,
    StrictUUIDField,
)

QUESTIONS_MAX = 50
NOTES_NAMED_MAX = 100
TAGS_NAMED_MAX = 20
STATES = ["covered", "partial", "missing", "contradicted"]

# --- What clients write -----------------------------------------------------------------------------------------------


def _each_once(values: list[Any]) -> list[Any]:
    for at, value in enumerate(values):
        if value in values[:at]:
            raise serializers.ValidationError({str(at): [serializers.ErrorDetail("Named before.", code="duplicate")]})
    return values


class QuizWriteSerializer(StrictSerializer):
    """What to ask about: notes, or tags. A note or card counts if it has one of the tags."""

    note_ids = BoundedListField(
        child=StrictIntegerField(min_value=1, max_value=2**63 - 1),
        max_length=NOTES_NAMED_MAX,
        allow_empty=False,
        required=False,
    )
    tags = TagsField(required=False, allow_empty=False)
    count = StrictIntegerField(default=10, min_value=1, max_value=QUESTIONS_MAX)
    kinds = BoundedListField(
        child=serializers.ChoiceField(choices=KINDS),
        max_length=len(KINDS),
        allow_empty=False,
        default=list(KINDS),
        help_text="The kinds of questions, in rotation.",
    )

    def validate_note_ids(self, note_ids: list[int]) -> list[int]:
        return _each_once(note_ids)

    def validate_kinds(self, kinds: list[str]) -> list[str]:
        return _each_once(kinds)

    def validate_tags(self, tags: list[str]) -> list[str]:
        if len(tags) > TAGS_NAMED_MAX:
            raise serializers.ValidationError(f"At most {TAGS_NAMED_MAX} are allowed.", code="too_many")
        return tags

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if ("note_ids" in data) == ("tags" in data):
            raise serializers.ValidationError("Name either notes or tags.", code="required")
        return {"note_ids": [], "tags": [], **data}


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ],
        "description": "`choice`: the index of a choice. `gap`: a text. `order`: the ids of all items in order. "
        "`match`: for each left item's id that of a right one.",
    }
)
class AnswerField(serializers.JSONField):
    """An answer of any JSON type; the service validates it against its question."""


class AnswerSerializer(StrictSerializer):
    """The answer to one question."""

    question_id = StrictUUIDField()
    answer = AnswerField()


class AnswersSerializer(StrictSerializer):
    """The answers to a quiz. An omitted question counts as wrong."""

    answers = BoundedListSerializer(child=AnswerSerializer(), max_length=QUESTIONS_MAX)


class RecallWriteSerializer(StrictSerializer):
    """What you remember of a topic."""

    topic_id = StrictIntegerField(min_value=1, max_value=2**63 - 1)
    text = SideField(allow_blank=True)


# --- What the API shows: these describe it; ``study.shown`` makes it ----------------------------------------------


class ItemSerializer(serializers.Serializer[Any]):
    """An item to order or to match. Its id does not reveal the solution."""

    id = serializers.CharField()
    text = serializers.CharField()


class PairsSerializer(serializers.Serializer[Any]):
    """Each item on the left matches one on the right."""

    left = ItemSerializer(many=True)
    right = ItemSerializer(many=True)


class QuestionSerializer(serializers.Serializer[Any]):
    """A question. The gap in a `gap` question is written `____`."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=KINDS)
    prompt = serializers.CharField()
    choices = serializers.ListField(child=serializers.CharField(), required=False, help_text="Only in a `choice`.")
    items = ItemSerializer(many=True, required=False, help_text="Only in an `order`.")
    pairs = PairsSerializer(required=False, help_text="Only in a `match`.")


class QuizQuoteSerializer(serializers.Serializer[Any]):
    """Your own words, as they were when the quiz was made."""

    topic_id = serializers.IntegerField()
    block_id = serializers.CharField()
    text = serializers.CharField()


class QuizReviewSerializer(serializers.Serializer[Any]):
    """A review `again` that was recorded for a wrong answer."""

    card_id = serializers.UUIDField()
    face = serializers.IntegerField()


@extend_schema_serializer(component_name="QuizResult")
class ResultSerializer(serializers.Serializer[Any]):
    """The result of one answer."""

    question_id = serializers.UUIDField()
    answer = AnswerField(allow_null=True, help_text="Null if there was no answer.")
    correct = serializers.BooleanField()
    expected = AnswerField()
    explanation = serializers.CharField()
    quote = QuizQuoteSerializer(allow_null=True)
    reviews = QuizReviewSerializer(
        many=True,
        help_text="The reviews recorded for a wrong answer; none if the card had such a review today or was deleted.",
    )


class QuizListSerializer(serializers.ModelSerializer[Quiz]):
    """A quiz without its questions."""

    correct = serializers.IntegerField(
        allow_null=True, help_text="The number of right answers; null until the quiz is answered."
    )
    answered_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        model = Quiz
        fields = ["id", "size", "created_at", "answered_at", "correct"]
        read_only_fields = fields


class QuizSerializer(QuizListSerializer):
    """A quiz. It contains the right answers only after it is answered."""

    questions = QuestionSerializer(many=True)
    notice = serializers.CharField(allow_null=True, help_text="Why there are fewer questions than you asked for.")
    results = ResultSerializer(many=True, allow_null=True)

    class Meta(QuizListSerializer.Meta):
        fields = [*QuizListSerializer.Meta.fields, "questions", "notice", "results"]
        read_only_fields = fields


class RecalledBlockSerializer(serializers.Serializer[Any]):
    """How your text covers one passage of the topic."""

    block_id = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    evidence = serializers.CharField(allow_null=True, help_text="The words of your text that are the evidence.")


class RecallListSerializer(serializers.ModelSerializer[Recall]):
    """A recall without its text."""

    score = serializers.IntegerField(min_value=0, max_value=100)

    class Meta:
        model = Recall
        fields = ["id", "topic_id", "score", "created_at"]
        read_only_fields = fields


class RecallSerializer(RecallListSerializer):
    """What you wrote from memory, and how much of the topic it covers."""

    blocks = RecalledBlockSerializer(many=True)
    notice = serializers.CharField(allow_null=True)

    class Meta(RecallListSerializer.Meta):
        fields = [*RecallListSerializer.Meta.fields, "text", "blocks", "notice"]
        read_only_fields = fields
