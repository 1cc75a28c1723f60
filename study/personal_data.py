"""Exports and deletes a user's study data."""

from collections.abc import Iterator

from study.models import Card, Exam, Face, Quiz, Recall, StudyEvent, StudySettings
from utils.personal_data import File, PersonalData, Rows, json_array, register

_BATCH_SIZE = 500
_CARD = (
    "id", "kind", "front", "back", "tags", "topic_id", "block_id", "block_text", "proposed", "suspended",
    "suspended_as_leech", "stale",
    "orphan", "replaces", "created_at",
)  # fmt: skip
_EVENT = (
    "event_id", "card_id", "face", "kind", "rating", "reviewed_at", "received_at", "duration_ms", "settings", "undoes",
    "data", "predicted",
)  # fmt: skip
_EXAM = ("id", "title", "at", "time_zone", "note_ids", "tags", "minutes_per_day", "target", "created_at", "updated_at")
_SETTINGS = (
    "desired_retention", "new_per_day", "reviews_per_day", "time_zone", "day_starts_at", "learning_steps",
    "relearning_steps",
)  # fmt: skip

# The solutions are left out: they would reveal the answers of an open quiz. The results contain those of an answered
# one.
_QUIZ = ("id", "language", "questions", "notice", "created_at", "answered_at", "correct", "results")
_RECALL = ("id", "topic_id", "text", "score", "blocks", "notice", "created_at")


def _rows(user_id: int) -> list[Rows]:
    return [
        Rows(Exam.objects.filter(user_id=user_id)),
        Rows(Face.objects.filter(user_id=user_id)),
        Rows(Card.objects.filter(user_id=user_id)),
        Rows(Quiz.objects.filter(user_id=user_id)),
        Rows(Recall.objects.filter(user_id=user_id)),
        Rows(StudyEvent.objects.filter(user_id=user_id)),
        Rows(StudySettings.objects.filter(user_id=user_id)),
    ]


def _files(user_id: int) -> Iterator[File]:
    """The cards, and the log from which their schedules are computed."""
    for name, queryset, columns in (
        ("study_cards.json", Card.objects.filter(user_id=user_id), _CARD),
        ("study_reviews.json", StudyEvent.objects.filter(user_id=user_id), _EVENT),
        ("study_exams.json", Exam.objects.filter(user_id=user_id), _EXAM),
        ("study_quizzes.json", Quiz.objects.filter(user_id=user_id), _QUIZ),
        ("study_recalls.json", Recall.objects.filter(user_id=user_id), _RECALL),
        ("study_settings.json", StudySettings.objects.filter(user_id=user_id), _SETTINGS),
    ):
        yield name, json_array(queryset, columns, batch_size=_BATCH_SIZE)


register(
    "study",
    PersonalData(
        rows=_rows,
        files=_files,
        exported=(Card, Exam, Quiz, Recall, StudyEvent, StudySettings),
        withheld={Face: "follows from the reviews, which are exported"},
    ),
)
