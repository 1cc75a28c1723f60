"""Cards as JSON, and what clients may write of them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from notes.fields import SearchParameter, TagField, TagsField
from study.faces import InvalidCloze, faces_of
from study.models import BLOCK_ID_MAX_LENGTH, SIDE_MAX_BYTES, Card, Face
from utils.http.serializers import (
    BoundedListField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
    StrictUUIDField,
)

DECIDED_MAX = 500
CARD_STATES = [("proposed", "Proposed"), *Face.State.choices]

# --- What clients write -----------------------------------------------------------------------------------------------


def _fits(text: str) -> None:
    if len(text.encode()) > SIDE_MAX_BYTES:
        raise serializers.ValidationError(f"This text is longer than {SIDE_MAX_BYTES} bytes.", code="max_length")


@extend_schema_field({"type": "string", "maxLength": SIDE_MAX_BYTES, "description": f"At most {SIDE_MAX_BYTES} bytes."})
class SideField(StrictCharField):
    """One side of a card: text that is not trimmed; its size is limited in UTF-8 bytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, validators=[_fits], **options)


class CardWriteSerializer(StrictSerializer):
    """What a card says, and the topic that it is about."""

    kind = serializers.ChoiceField(choices=Card.Kind.choices, default=Card.Kind.BASIC)
    front = SideField(help_text="Of a cloze card: a text with deletions such as `{{c1::Paris}}`.")
    back = SideField(
        default="",
        allow_blank=True,
        help_text="Of a cloze card: what is shown besides. Empty only where nothing asks for it.",
    )
    tags = TagsField(default=list)
    topic_id = StrictIntegerField(
        default=None, allow_null=True, min_value=1, max_value=2**63 - 1, help_text="A topic of yours."
    )
    block_id = StrictCharField(
        default=None,
        allow_null=True,
        max_length=BLOCK_ID_MAX_LENGTH,
        help_text="The block of that topic that the card is about. Another `topic_id` alone unties it.",
    )

    def validate_front(self, text: str) -> str:
        if not text.strip():
            raise serializers.ValidationError("This field may not be blank.", code="blank")
        return text

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Check the kind against both sides; of a PATCH with what the card has already (``context["card"]``)."""
        card = self.context.get("card")
        kind, front, back = (data[name] if name in data else getattr(card, name) for name in ("kind", "front", "back"))
        if kind == Card.Kind.REVERSED and not back.strip():
            raise serializers.ValidationError(
                {"back": [serializers.ErrorDetail("Both sides are asked, so the back may not be empty.", code="blank")]}
            )
        try:
            faces_of(kind, front)
        except InvalidCloze as error:
            raise serializers.ValidationError(
                {"front": [serializers.ErrorDetail(str(error), code="invalid_cloze")]}
            ) from error
        return self._placed(data)

    def _placed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Both of topic and block, or neither; no block is an empty text, as in the table."""
        card = self.context.get("card")
        if card is not None and not data.keys() & {"topic_id", "block_id"}:
            return data
        topic_id = data["topic_id"] if card is None or "topic_id" in data else card.topic_id
        block_id = data.get("block_id") or ""
        if card is not None and "block_id" not in data and topic_id == card.topic_id:
            block_id = card.block_id
        if block_id and topic_id is None:
            message = serializers.ErrorDetail("A block needs its topic.", code="required")
            raise serializers.ValidationError({"topic_id": [message]})
        return {**data, "topic_id": topic_id, "block_id": block_id}


class ScheduleField(serializers.DictField):
    """What becomes of schedules, by card."""

    child = serializers.ChoiceField(choices=["keep", "reset"])

    def to_internal_value(self, data: Any) -> dict[UUID, str]:
        if isinstance(data, dict) and len(data) > DECIDED_MAX:
            raise serializers.ValidationError(f"Expected at most {DECIDED_MAX} cards.", code="too_many")
        values = super().to_internal_value(data)
        ids = {}
        for key, value in values.items():
            try:
                ids[UUID(key)] = value
            except ValueError as error:
                message = serializers.ErrorDetail("Expected the id of a card.", code="invalid")
                raise serializers.ValidationError({key: [message]}) from error
        return ids


class DecisionSerializer(StrictSerializer):
    """Which proposed cards are taken, and which are deleted."""

    accept = BoundedListField(child=StrictUUIDField(), max_length=DECIDED_MAX, default=list)
    reject = BoundedListField(child=StrictUUIDField(), max_length=DECIDED_MAX, default=list)
    schedule = ScheduleField(
        default=dict,
        help_text="By the ids of accepted cards that replace a card: whether that one keeps its schedule, as it does "
        "where it is left out, or is new again.",
    )

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if not data["accept"] and not data["reject"]:
            raise serializers.ValidationError("Name at least one card.", code="required")
        seen = set()
        for name in ("accept", "reject"):
            for index, card_id in enumerate(data[name]):
                if card_id in seen:
                    message = serializers.ErrorDetail("This card is listed twice.", code="duplicate")
                    raise serializers.ValidationError({name: {str(index): [message]}})
                seen.add(card_id)
        for card_id in data["schedule"]:
            if card_id not in data["accept"]:
                message = serializers.ErrorDetail("This card is not among the accepted ones.", code="not_accepted")
                raise serializers.ValidationError({"schedule": {str(card_id): [message]}})
        return data


# --- What clients ask for ---------------------------------------------------------------------------------------------


class CardFilterSerializer(serializers.Serializer[Any]):
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    topic = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)
    state = serializers.ChoiceField(choices=CARD_STATES, required=False, help_text="Cards with a face in this state.")
    stale = serializers.BooleanField(required=False)
    q = SearchParameter(required=False, allow_blank=True, help_text="Every word must be on the card.")


class ExportFilterSerializer(serializers.Serializer[Any]):
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)


# --- What the API shows: these describe it; ``study.shown`` makes it ----------------------------------------------


class FaceSerializer(serializers.ModelSerializer[Face]):
    """What can be asked of a card, and when. A cloze card has one for each deletion, a reversed one has two."""

    class Meta:
        model = Face
        fields = ["n", "state", "due_at", "stability", "difficulty", "reps", "lapses", "buried_until"]
        read_only_fields = fields


class CardSerializer(serializers.ModelSerializer[Card]):
    """A card. What it shows of a schedule is that of the face that comes up next."""

    topic_id = serializers.IntegerField(allow_null=True)
    block_id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=CARD_STATES)
    due_at = serializers.DateTimeField(allow_null=True)
    stability = serializers.FloatField(allow_null=True, help_text="Days until recall falls to nine in ten.")
    difficulty = serializers.FloatField(allow_null=True, help_text="From 1 to 10.")
    reps = serializers.IntegerField()
    lapses = serializers.IntegerField()
    buried_until = serializers.DateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text="The passage says something else now than when the card was made.")
    orphan = serializers.BooleanField(help_text="The passage is gone.")
    replaces = serializers.UUIDField(
        allow_null=True, help_text="Of a proposed card: the stale card that it is to replace. It may be gone by now."
    )
    faces = FaceSerializer(many=True)

    class Meta:
        model = Card
        fields = [
            "id", "kind", "front", "back", "topic_id", "block_id", "tags", "state", "due_at", "stability",
            "difficulty", "reps", "lapses", "buried_until", "suspended", "stale", "orphan", "replaces", "faces",
            "version", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(component_name="DecidedCards")
class DecidedSerializer(serializers.Serializer[Any]):
    """The cards that were accepted."""

    cards = CardSerializer(many=True)
