"""Serializers of exams: what clients send, and what the API returns."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notes.fields import TagsField, TitleField
from study.days import known_time_zones
from study.models import Exam
from study.serializers import CardSerializer
from utils.http.pagination import MAX_PAGE_SIZE
from utils.http.serializers import BoundedListField, StrictCharField, StrictIntegerField, StrictSerializer

NOTES_MAX = 100
TARGET_MIN, TARGET_MAX, TARGET_DEFAULT = 0.5, 0.99, 0.9
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_OF_DAY = 24 * 60

# --- What clients write -----------------------------------------------------------------------------------------------


class TimeZoneField(StrictCharField):
    """A name of the IANA database."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=64, **options)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in known_time_zones():
            raise serializers.ValidationError("There is no such time zone.", code="unknown_time_zone")
        return name


class ExamTimeField(serializers.DateTimeField):
    """A time with an offset, or a local time without one, which the object's time zone completes."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DDThh:mm[:ss][+hh:mm|Z]")
        return super().to_internal_value(value)

    def enforce_timezone(self, value: datetime) -> datetime:
        return value


class TargetField(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeSerializer(StrictSerializer):
    """An object that a PATCH replaces as a whole, so its required fields and defaults apply there too."""

    def to_internal_value(self, data: Any) -> Any:
        # With a parent, the fields would take the request for a partial update.
        return super().to_internal_value(data) if self.parent is None else type(self)().run_validation(data)


class ExamScopeSerializer(WholeSerializer):
    """What the exam covers: cards of these notes, cards with one of these tags, and cards of notes with one of these
    tags."""

    note_ids = BoundedListField(
        child=StrictIntegerField(min_value=1, max_value=2**63 - 1), max_length=NOTES_MAX, default=list
    )
    tags = TagsField(default=list)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if not data["note_ids"] and not data["tags"]:
            raise serializers.ValidationError("Name at least one note or tag.", code="empty_scope")
        return {**data, "note_ids": list(dict.fromkeys(data["note_ids"]))}


class MinutesPerDaySerializer(WholeSerializer):
    """How many minutes you study on each day of the week."""

    mon = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    tue = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    wed = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    thu = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    fri = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    sat = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)
    sun = StrictIntegerField(min_value=0, max_value=_MINUTES_OF_DAY)


class ExamWriteSerializer(StrictSerializer):
    """An exam. In a PATCH, scope and minutes are replaced as a whole."""

    title = TitleField()
    at = ExamTimeField(help_text="When it starts. Without an offset, it is a local time in `time_zone`.")
    time_zone = TimeZoneField(
        required=False, help_text="A name such as `Europe/Berlin`. The default is the time zone of your study settings."
    )
    scope = ExamScopeSerializer()
    minutes_per_day = MinutesPerDaySerializer()
    target = TargetField(
        min_value=TARGET_MIN,
        max_value=TARGET_MAX,
        default=TARGET_DEFAULT,
        help_text="The share of the cards that you want to know on the day.",
    )

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the columns of ``Exam``. The time zone comes from the body, the exam or the settings (both in
        ``context``)."""
        columns: dict[str, Any] = {name: data[name] for name in ("title", "at", "time_zone", "target") if name in data}
        if "scope" in data:
            columns |= data["scope"]
        if "minutes_per_day" in data:
            columns["minutes_per_day"] = [data["minutes_per_day"][name] for name in WEEKDAYS]
        if "at" in data:
            zone = ZoneInfo(data.get("time_zone") or self.context["time_zone"])
            columns["at"] = _instant(data["at"], zone)
        return columns


def _instant(at: datetime, zone: ZoneInfo) -> datetime:
    """The instant in UTC; for a repeated hour, the first one."""
    try:
        instant = (at.replace(tzinfo=zone) if at.tzinfo is None else at).astimezone(UTC)
        exists = at.tzinfo is not None or instant.astimezone(zone).replace(tzinfo=None) == at
    except OverflowError:
        exists = False
    if not exists:
        message = "This local time does not exist in the time zone."
        raise serializers.ValidationError({"at": [serializers.ErrorDetail(message, code="no_such_time")]})
    return instant


class PlanFilterSerializer(serializers.Serializer[Any]):
    day = serializers.DateField(required=False, help_text="A study day in the exam's time zone; the default is today.")
    limit = serializers.IntegerField(required=False, default=MAX_PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE)


# --- What the API shows -----------------------------------------------------------------------------------------------


class ExamScopeShownSerializer(serializers.Serializer[Any]):
    """What the exam covers."""

    note_ids = serializers.ListField(child=serializers.IntegerField())
    tags = serializers.ListField(child=serializers.CharField())


class MinutesPerDayShownSerializer(serializers.Serializer[Any]):
    """How many minutes you study on each day of the week."""

    mon = serializers.IntegerField()
    tue = serializers.IntegerField()
    wed = serializers.IntegerField()
    thu = serializers.IntegerField()
    fri = serializers.IntegerField()
    sat = serializers.IntegerField()
    sun = serializers.IntegerField()


class ExamSerializer(serializers.ModelSerializer[Exam]):
    """An exam."""

    scope = serializers.SerializerMethodField()
    minutes_per_day = serializers.SerializerMethodField()
    has_calendar_link = serializers.SerializerMethodField(help_text="Whether it has a calendar link.")

    class Meta:
        model = Exam
        fields = [
            "id", "title", "at", "time_zone", "scope", "minutes_per_day", "target", "has_calendar_link", "version",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ExamScopeShownSerializer)
    def get_scope(self, exam: Exam) -> dict[str, Any]:
        return {"note_ids": exam.note_ids, "tags": exam.tags}

    @extend_schema_field(MinutesPerDayShownSerializer)
    def get_minutes_per_day(self, exam: Exam) -> dict[str, int]:
        return dict(zip(WEEKDAYS, exam.minutes_per_day, strict=True))

    def get_has_calendar_link(self, exam: Exam) -> bool:
        return exam.calendar_hash is not None


class RecallBandSerializer(serializers.Serializer[Any]):
    """Expected recall, 0 to 1. With a probability of 80 % it is between `p10` and `p90`."""

    p10 = serializers.FloatField()
    p50 = serializers.FloatField()
    p90 = serializers.FloatField()


class RecallBandsSerializer(serializers.Serializer[Any]):
    """The recall on the day of the exam: without any study, with the plan, and when studying what is due first."""

    no_study = RecallBandSerializer()
    plan = RecallBandSerializer()
    due_first = RecallBandSerializer()


class ChapterForecastSerializer(RecallBandsSerializer):
    """The same for one chapter."""

    chapter_id = serializers.IntegerField(
        allow_null=True, help_text="Null: cards without a chapter, and chapters beyond those shown."
    )
    note_id = serializers.IntegerField(allow_null=True)
    title = serializers.CharField(allow_null=True)
    faces = serializers.IntegerField()


class ExamForecastSerializer(serializers.Serializer[Any]):
    """What you will know on the day of an exam."""

    faces = serializers.IntegerField(help_text="The number of faces in its scope, new ones included.")
    capped = serializers.BooleanField(help_text="Whether there are more faces than are counted.")
    simulated = serializers.IntegerField(help_text="The number of simulated faces, which represent all.")
    minutes = serializers.IntegerField(help_text="Your study minutes until the exam.")
    seconds_per_view = serializers.FloatField(help_text="The mean of your reviews without breaks, or an assumption.")
    target = serializers.FloatField()
    feasible = serializers.BooleanField(help_text="Whether the plan's `p50` reaches the target.")
    minutes_short = serializers.IntegerField(
        allow_null=True, help_text="The missing minutes until the exam; null: no amount of time reaches the target."
    )
    overall = RecallBandsSerializer(allow_null=True, help_text="Null if there are no cards.")
    chapters = ChapterForecastSerializer(many=True)


class PlannedCardSerializer(CardSerializer):
    """A card to study on the day, with the face to ask and the reason."""

    face = serializers.IntegerField(help_text="The number of the face to ask; name it in the review.")
    why = serializers.ChoiceField(choices=["new", "due", "ahead"])

    class Meta(CardSerializer.Meta):
        fields = [*CardSerializer.Meta.fields, "face", "why"]
        read_only_fields = fields


class ExamPlanSerializer(serializers.Serializer[Any]):
    """What to study on a day, in order."""

    day = serializers.DateField()
    minutes = serializers.IntegerField(help_text="The minutes of the plan; never more than `minutes_planned`.")
    minutes_planned = serializers.IntegerField(help_text="The minutes that are left on this day.")
    count = serializers.IntegerField(help_text="The total number, regardless of `limit`.")
    cards = PlannedCardSerializer(many=True)


class CalendarLinkSerializer(serializers.Serializer[Any]):
    """A link to an exam's calendar. It is shown only once."""

    url = serializers.URLField()
