"""Serializers of reviews and of the queue."""

from typing import Any

from rest_framework import serializers

from notes.fields import TagField
from study.models import DURATION_MAX_MS, StudyEvent
from study.serializers import CardSerializer
from study.services.reviews import Review
from utils.http.pagination import MAX_PAGE_SIZE
from utils.http.serializers import BoundedListSerializer, StrictIntegerField, StrictSerializer, StrictUUIDField

REVIEWS_MAX = 100
DUE_DEFAULT = 20

# --- What clients write -----------------------------------------------------------------------------------------------


class ReviewSerializer(StrictSerializer):
    """One review. You choose its `id`: if it is sent again, the review is still recorded once."""

    id = StrictUUIDField()
    card_id = StrictUUIDField()
    face = StrictIntegerField(default=1, min_value=1, max_value=500)
    rating = serializers.ChoiceField(choices=StudyEvent.Rating.choices)
    reviewed_at = serializers.DateTimeField(help_text="A time in the future counts as now.")
    duration_ms = StrictIntegerField(
        default=None, allow_null=True, min_value=0, help_text=f"A larger value counts as {DURATION_MAX_MS}."
    )

    def to_internal_value(self, data: Any) -> Review:
        review = super().to_internal_value(data)
        if review["duration_ms"] is not None:
            review["duration_ms"] = min(review["duration_ms"], DURATION_MAX_MS)
        return Review(**review)


class ReviewsSerializer(StrictSerializer):
    """A batch of reviews, in any order."""

    reviews = BoundedListSerializer(child=ReviewSerializer(), max_length=REVIEWS_MAX, allow_empty=False)


# --- What clients ask for ---------------------------------------------------------------------------------------------


class DueFilterSerializer(serializers.Serializer[Any]):
    limit = serializers.IntegerField(required=False, default=DUE_DEFAULT, min_value=1, max_value=MAX_PAGE_SIZE)
    note = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    tag = TagField(required=False)


# --- What the API shows: these describe it; ``study.shown`` makes it ----------------------------------------------


class IntervalsSerializer(serializers.Serializer[Any]):
    """For each rating, the seconds until the face would be due again."""

    again = serializers.IntegerField()
    hard = serializers.IntegerField()
    good = serializers.IntegerField()
    easy = serializers.IntegerField()


class DueCardSerializer(CardSerializer):
    """A card to ask now, the face to ask, and the effect of each rating."""

    face = serializers.IntegerField(help_text="The number of the face to ask; name it in the review.")
    next = IntervalsSerializer()

    class Meta(CardSerializer.Meta):
        fields = [*CardSerializer.Meta.fields, "face", "next"]
        read_only_fields = fields


class CountsSerializer(serializers.Serializer[Any]):
    """How many cards are left for today."""

    new = serializers.IntegerField()
    learning = serializers.IntegerField()
    review = serializers.IntegerField()


class DueSerializer(serializers.Serializer[Any]):
    """What is due now, in order."""

    counts = CountsSerializer()
    results = DueCardSerializer(many=True)


class ReviewOutcomeSerializer(serializers.Serializer[Any]):
    """The result of one review."""

    id = serializers.UUIDField()
    outcome = serializers.ChoiceField(choices=["recorded", "duplicate", "rejected"])
    code = serializers.ChoiceField(
        choices=["id_reused", "card_not_found", "card_not_decided", "face_not_found", "reviewed_at_out_of_range"],
        required=False,
        help_text="Why it was rejected.",
    )


class RecordedSerializer(serializers.Serializer[Any]):
    """The result of each review, and the present state of the cards."""

    results = ReviewOutcomeSerializer(many=True)
    cards = CardSerializer(many=True)
