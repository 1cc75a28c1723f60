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
router.register("study/cards", CardViewSet, basename="card")
router.register("study/exams", ExamViewSet, basename="exam")
router.register("study/quizzes", QuizViewSet, basename="quiz")
router.register("study/recalls", RecallViewSet, basename="recall")

urlpatterns = [
    path("study/due/", DueView.as_view(), name="study-due"),
    path("study/reviews/", ReviewsView.as_view(), name="study-reviews"),
    path("study/reviews/<uuid:pk>/undo/", UndoView.as_view(), name="study-review-undo"),
    path("study/settings/", SettingsView.as_view(), name="study-settings"),
    path("study/stats/", StatsView.as_view(), name="study-stats"),
    path("study/media/", MediaView.as_view(), name="study-media"),
    path("study/export.apkg", AnkiExportView.as_view(), name="study-anki-export"),
    path("study/exams/<uuid:pk>/forecast/", ForecastView.as_view(), name="exam-forecast"),
    path("study/exams/<uuid:pk>/plan/", PlanView.as_view(), name="exam-plan"),
    path("study/exams/<uuid:pk>/calendar-link/", CalendarLinkView.as_view(), name="exam-calendar-link"),
    path("study/calendars/<slug:token>.ics", calendar, name="exam-calendar"),
    *router.urls,
]
