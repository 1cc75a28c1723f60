from study.views.anki import AnkiExportView
from study.views.cards import CardViewSet
from study.views.exams import CalendarLinkView, ExamViewSet, ForecastView, PlanView, calendar
from study.views.media import MediaView
from study.views.quizzes import QuizViewSet, RecallViewSet
from study.views.reviews import DueView, ReviewsView, UndoView
from study.views.settings import SettingsView, StatsView

__all__ = [
    "AnkiExportView",
    "CalendarLinkView",
    "CardViewSet",
    "DueView",
    "ExamViewSet",
    "ForecastView",
    "MediaView",
    "PlanView",
    "QuizViewSet",
    "RecallViewSet",
    "ReviewsView",
    "SettingsView",
    "StatsView",
    "UndoView",
    "calendar",
]
