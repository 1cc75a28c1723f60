"""Serializers of study settings and statistics."""

from typing import Any

from rest_framework import serializers

from study.days import known_time_zones
from study.models import StudySettings
from study.stats import DAYS_MAX
from utils.http.serializers import BoundedListField, StrictCharField, StrictIntegerField, StrictSerializer

STEPS_MAX = 10
STEP_MAX_SECONDS = 30 * 86400

# --- What clients write -----------------------------------------------------------------------------------------------


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
    """Your study settings. A change takes effect from the next review on."""

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


class StatsFilterSerializer(serializers.Serializer[Any]):
    days = serializers.IntegerField(required=False, default=30, min_value=1, max_value=DAYS_MAX)


# --- What the API shows: these describe it; ``study.shown`` makes it ----------------------------------------------


class SettingsSerializer(serializers.ModelSerializer[StudySettings]):
    """Your study settings."""

    class Meta:
        model = StudySettings
        fields = [
            "desired_retention", "new_per_day", "reviews_per_day", "time_zone", "day_starts_at", "learning_steps",
            "relearning_steps",
        ]  # fmt: skip
        read_only_fields = fields


class RetentionSerializer(serializers.Serializer[Any]):
    """Reviews of learned cards: how often you knew the answer, and how often that was expected."""

    reviews = serializers.IntegerField()
    recalled = serializers.IntegerField()
    true = serializers.FloatField(allow_null=True)
    predicted = serializers.FloatField(allow_null=True)


class TagRetentionSerializer(RetentionSerializer):
    """Retention of the cards with one tag."""

    tag = serializers.CharField()


class StudyDaySerializer(serializers.Serializer[Any]):
    """The reviews of one study day."""

    day = serializers.DateField()
    reviews = serializers.IntegerField()
    again = serializers.IntegerField()
    hard = serializers.IntegerField()
    good = serializers.IntegerField()
    easy = serializers.IntegerField()
    duration_ms = serializers.IntegerField()


class LoadSerializer(serializers.Serializer[Any]):
    """How many faces are due on a day; today includes overdue ones."""

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
    """Study statistics."""

    days = StudyDaySerializer(many=True)
    retention = RetentionSerializer()
    tags = TagRetentionSerializer(many=True)
    load = LoadSerializer(many=True)
    cards = CardCountsSerializer()
