"""Study as JSON, and what clients may write of it."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from notes.fields import SearchParameter, TagField, TagsField
from study.days import known_time_zones
from study.faces import InvalidCloze, faces_of
from study.models import BLOCK_ID_MAX_LENGTH, DURATION_MAX_MS, SIDE_MAX_BYTES, Card, Face, StudyEvent, StudySettings
from study.services.reviews import Review
from study.stats import DAYS_MAX
from utils.http.pagination import MAX_PAGE_SIZE
from utils.http.serializers import (
    BoundedListField,
    BoundedListSerializer,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
    StrictUUIDField,
)

REVIEWS_MAX = 100
DECIDED_MAX = 500
STEPS_MAX = 10
STEP_MAX_SECONDS = 30 * 86400
DUE_DEFAULT = 20
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
                {"back": [serializers.ErrorDetail("The back is asked, too, so it may not be empty.", code="blank")]}
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
            message = serializers.ErrorDetail("A block is named with its topic.", code="required")
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
                    message = serializers.ErrorDetail("This card is named before.", code="duplicate")
                    raise serializers.ValidationError({name: {str(index): [message]}})
                seen.add(card_id)
        for card_id in data["schedule"]:
            if card_id not in data["accept"]:
                message = serializers.ErrorDetail("This card is not among the accepted ones.", code="not_accepted")
                raise serializers.ValidationError({"schedule": {str(card_id): [message]}})
        return data


class ReviewSerializer(StrictSerializer):
    """One review. Its `id` is yours: sent again, it is recorded once."""

    id = StrictUUIDField()
    card_id = StrictUUIDField()
    face = StrictIntegerField(default=1, min_value=1, max_value=500)
    rating = serializers.ChoiceField(choices=StudyEvent.Rating.choices)
    reviewed_at = serializers.DateTimeField(help_text="A time in the future counts as now.")
    duration_ms = StrictIntegerField(
        default=None, allow_null=True, min_value=0, help_text=f"More than {DURATION_MAX_MS} counts as that."
    )

    def to_internal_value(self, data: Any) -> Review:
        review = super().to_internal_value(data)
        if review["duration_ms"] is not None:
            review["duration_ms"] = min(review["duration_ms"], DURATION_MAX_MS)
        return Review(**review)


class ReviewsSerializer(StrictSerializer):
    """A batch of reviews, in any order."""

    reviews = BoundedListSerializer(child=ReviewSerializer(), max_length=REVIEWS_MAX, allow_empty=False)


class StepsField(BoundedListField):
    """Delays in seconds."""

    child = StrictIntegerField(min_value=1, max_value=STEP_MAX_SECONDS)

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=STEPS_MAX, **options)


class RetentionField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class SettingsWriteSerializer(StrictSerializer):
    """How you want to study. A change acts from the next review on."""

    desired_retention = RetentionField(min_value=0.70, max_value=0.97)
    new_per_day = StrictIntegerField(min_value=0, max_value=9999)
    reviews_per_day = StrictIntegerField(min_value=0, max_value=9999)
    time_zone = StrictCharField(max_length=64, help_text="A name such as `Europe/Berlin`.")
    day_starts_at = serializers.RegexField(r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z", help_text="`HH:MM`.")
    learning_steps = StepsField()
    relearning_steps = StepsField()

    def validate_time_zone(self, name: str) -> str:
        if name not in known_time_zones():
            raise serializers.ValidationError("There is no such time zone.", code="unknown_time_zone")
        return name


# --- What clients ask for ---------------------------------------------------------------------------------------------


class CardFilterSerializer(serializers.Serializer[Any]):
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    topic = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)
    state = serializers.ChoiceField(choices=CARD_STATES, required=False, help_text="Cards with a face in this state.")
    stale = serializers.BooleanField(required=False)
    q = SearchParameter(required=False, allow_blank=True, help_text="Every word must be on the card.")


class DueFilterSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(required=False, default=DUE_DEFAULT, min_value=1, max_value=MAX_PAGE_SIZE)
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)


class ExportFilterSerializer(serializers.Serializer[Any]):
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)


class StatsFilterSerializer(serializers.Serializer[Any]):
    days = serializers.IntegerField(required=False, default=30, min_value=1, max_value=DAYS_MAX)


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


class IntervalsSerializer(serializers.Serializer[Any]):
    """For each rating, in how many seconds the face would be due again."""

    again = serializers.IntegerField()
    hard = serializers.IntegerField()
    good = serializers.IntegerField()
    easy = serializers.IntegerField()


class DueCardSerializer(CardSerializer):
    """A card to be asked now, by which face, and what each rating would do."""

    face = serializers.IntegerField(help_text="The number of the face to ask; name it in the review.")
    next = IntervalsSerializer()

    class Meta(CardSerializer.Meta):
        fields = [*CardSerializer.Meta.fields, "face", "next"]
        read_only_fields = fields


class CountsSerializer(serializers.Serializer[Any]):
    """What is left of today."""

    new = serializers.IntegerField()
    learning = serializers.IntegerField()
    review = serializers.IntegerField()


class DueSerializer(serializers.Serializer[Any]):
    """What is due now, in order."""

    counts = CountsSerializer()
    results = DueCardSerializer(many=True)


class ReviewOutcomeSerializer(serializers.Serializer[Any]):
    """What became of a review."""

    id = serializers.UUIDField()
    outcome = serializers.ChoiceField(choices=["recorded", "duplicate", "rejected"])
    code = serializers.ChoiceField(
        choices=["id_reused", "card_not_found", "card_not_decided", "face_not_found", "reviewed_at_out_of_range"],
        required=False,
        help_text="Why it was rejected.",
    )


class RecordedSerializer(serializers.Serializer[Any]):
    """What became of each review, and the cards as they are now."""

    results = ReviewOutcomeSerializer(many=True)
    cards = CardSerializer(many=True)


class SettingsSerializer(serializers.ModelSerializer[StudySettings]):
    """How you want to study."""

    class Meta:
        model = StudySettings
        fields = [
            "desired_retention", "new_per_day", "reviews_per_day", "time_zone", "day_starts_at", "learning_steps",
            "relearning_steps",
        ]  # fmt: skip
        read_only_fields = fields


class RetentionSerializer(serializers.Serializer[Any]):
    """Of the reviews of what was learned: how often it was known, and how often that was expected."""

    reviews = serializers.IntegerField()
    recalled = serializers.IntegerField()
    true = serializers.FloatField(allow_null=True)
    predicted = serializers.FloatField(allow_null=True)


class TagRetentionSerializer(RetentionSerializer):
    """The same for the cards of one tag."""

    tag = serializers.CharField()


class StudyDaySerializer(serializers.Serializer[Any]):
    """A day of study."""

    day = serializers.DateField()
    reviews = serializers.IntegerField()
    again = serializers.IntegerField()
    hard = serializers.IntegerField()
    good = serializers.IntegerField()
    easy = serializers.IntegerField()
    duration_ms = serializers.IntegerField()


class LoadSerializer(serializers.Serializer[Any]):
    """How many faces come up on a day; today, with those that are overdue."""

    day = serializers.DateField()
    faces = serializers.IntegerField()


class CardCountsSerializer(serializers.Serializer[Any]):
    """How many faces are in each state."""

    proposed = serializers.IntegerField()
    new = serializers.IntegerField()
    learning = serializers.IntegerField()
    review = serializers.IntegerField()
    relearning = serializers.IntegerField()
    suspended = serializers.IntegerField()


class StatsSerializer(serializers.Serializer[Any]):
    """How study goes."""

    days = StudyDaySerializer(many=True)
    retention = RetentionSerializer()
    tags = TagRetentionSerializer(many=True)
    load = LoadSerializer(many=True)
    cards = CardCountsSerializer()
