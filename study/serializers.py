"""Serializers of cards: what clients send, and what the API returns."""

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
    """The content of a card, and the topic and block that it belongs to."""

    kind = serializers.ChoiceField(choices=Card.Kind.choices, default=Card.Kind.BASIC)
    front = SideField(help_text="For a cloze card: a text with deletions such as `{{c1::Paris}}`.")
    back = SideField(
        default="",
        allow_blank=True,
        help_text="For a cloze card: extra text. May be empty only if no face asks for it.",
    )
    tags = TagsField(default=list)
    topic_id = StrictIntegerField(
        default=None, allow_null=True, min_value=1, max_value=2**63 - 1, help_text="One of your topics."
    )
    block_id = StrictCharField(
        default=None,
        allow_null=True,
        max_length=BLOCK_ID_MAX_LENGTH,
        help_text="The block of that topic that the card belongs to. A new `topic_id` alone removes the link.",
    )

    def validate_front(self, text: str) -> str:
        if not text.strip():
            raise serializers.ValidationError("This field may not be blank.", code="blank")
        return text

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Check that both sides fit the kind; in a PATCH, together with the card's present values
        (``context["card"]``)."""
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
        """Return topic and block together or neither; a missing block is an empty text, as in the table."""
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
    """What happens to schedules, by card id."""

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
    """Which proposed cards are accepted, and which are deleted."""

    accept = BoundedListField(child=StrictUUIDField(), max_length=DECIDED_MAX, default=list)
    reject = BoundedListField(child=StrictUUIDField(), max_length=DECIDED_MAX, default=list)
    schedule = ScheduleField(
        default=dict,
        help_text="By the id of an accepted card that replaces another: whether the replaced card keeps its schedule "
        "(the default) or becomes new.",
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
    """One question of a card with its schedule. A cloze card has one face per deletion, a reversed card has two."""

    class Meta:
        model = Face
        fields = ["n", "state", "due_at", "stability", "difficulty", "reps", "lapses", "buried_until"]
        read_only_fields = fields


class CardSerializer(serializers.ModelSerializer[Card]):
    """A card. Its schedule fields are those of the face that comes up next."""

    topic_id = serializers.IntegerField(allow_null=True)
    block_id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=CARD_STATES)
    due_at = serializers.DateTimeField(allow_null=True)
    stability = serializers.FloatField(allow_null=True, help_text="Days until recall falls to 90 %.")
    difficulty = serializers.FloatField(allow_null=True, help_text="From 1 to 10.")
    reps = serializers.IntegerField()
    lapses = serializers.IntegerField()
    buried_until = serializers.DateTimeField(allow_null=True)
    stale = serializers.BooleanField(help_text="The passage differs from the text that the card was made from.")
    orphan = serializers.BooleanField(help_text="The passage no longer exists.")
    replaces = serializers.UUIDField(
        allow_null=True, help_text="For a proposed card: the stale card that it replaces, which may have been deleted."
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
