"""The admin of study. Read-only: schedules must always equal a fold over the log."""

from django.contrib import admin

from study.models import Card, Exam, Face, Quiz, Recall, StudyEvent, StudySettings
from utils.admin import ReadOnlyAdmin


@admin.register(Card)
class CardAdmin(ReadOnlyAdmin):
    long_columns = ("search", "front", "back", "block_text")
    list_display = ["id", "user", "kind", "proposed", "suspended", "stale", "orphan", "created_at"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "user__email__startswith"]


@admin.register(Face)
class FaceAdmin(ReadOnlyAdmin):
    long_columns = ("card__search", "card__front", "card__back", "card__block_text")
    list_display = ["id", "card", "n", "state", "due_at", "reps", "lapses"]
    list_filter = ["state"]
    list_select_related = ["card"]
    search_fields = ["=card__id"]


@admin.register(StudyEvent)
class StudyEventAdmin(ReadOnlyAdmin):
    long_columns = ("settings", "data")
    list_display = ["id", "user", "card_id", "kind", "rating", "reviewed_at"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    search_fields = ["=event_id", "=card_id", "user__email__startswith"]


@admin.register(StudySettings)
class StudySettingsAdmin(ReadOnlyAdmin):
    list_display = ["user", "desired_retention", "time_zone", "day_starts_at"]
    ordering = ["-user"]
    list_select_related = ["user"]
    search_fields = ["user__email__startswith"]


@admin.register(Exam)
class ExamAdmin(ReadOnlyAdmin):
    long_columns = ("calendar_hash",)
    list_display = ["id", "user", "at", "time_zone", "target"]
    exclude = ["calendar_hash"]
    ordering = ["-at"]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email__startswith"]


@admin.register(Quiz)
class QuizAdmin(ReadOnlyAdmin):
    exclude = ("seed", "solutions")  # these show the answers, and an operator may know a student
    long_columns = ("questions", "solutions", "results", "notice")
    list_display = ["id", "user", "size", "correct", "created_at", "answered_at"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "user__email__startswith"]


@admin.register(Recall)
class RecallAdmin(ReadOnlyAdmin):
    long_columns = ("text", "blocks", "notice")
    list_display = ["id", "user", "topic_id", "score", "created_at"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=topic_id", "user__email__startswith"]
