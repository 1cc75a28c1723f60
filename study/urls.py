"""URL paths of study, below ``/api/study/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from study.views import (
    AnkiExportView,
    CalendarLinkView,
    CardViewSet,
    DueView,
    ExamViewSet,
    ForecastView,
    MediaView,
    PlanView,
    QuizViewSet,
    RecallViewSet,
    ReviewsView,
    SettingsView,
    StatsView,
    UndoView,
    calendar,
)

router = SimpleRouter(use_regex_path=False)
router.register("cards", CardViewSet, basename="card")
router.register("exams", ExamViewSet, basename="exam")
router.register("quizzes", QuizViewSet, basename="quiz")
router.register("recalls", RecallViewSet, basename="recall")

urlpatterns = [
    path("due/", DueView.as_view(), name="study-due"),
    path("reviews/", ReviewsView.as_view(), name="study-reviews"),
    path("reviews/<uuid:pk>/undo/", UndoView.as_view(), name="study-review-undo"),
    path("settings/", SettingsView.as_view(), name="study-settings"),
    path("stats/", StatsView.as_view(), name="study-stats"),
    path("media/", MediaView.as_view(), name="study-media"),
    path("export.apkg", AnkiExportView.as_view(), name="study-anki-export"),
    path("exams/<uuid:pk>/forecast/", ForecastView.as_view(), name="exam-forecast"),
    path("exams/<uuid:pk>/plan/", PlanView.as_view(), name="exam-plan"),
    path("exams/<uuid:pk>/calendar-link/", CalendarLinkView.as_view(), name="exam-calendar-link"),
    path("calendars/<slug:token>.ics", calendar, name="exam-calendar"),
    *router.urls,
]
