"""URL paths of AI tasks, below ``/api/ai/`` and ``/api/``."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from ai_tasks.views import AITaskViewSet, NoteIndexingView, ProposalViewSet, RequestTypesView, TaskEventsView, UsageView
from notes.views.common import ID_PATTERN

tasks = SimpleRouter(use_regex_path=False)
tasks.register("tasks", AITaskViewSet, basename="ai-task")

ai = [
    *tasks.urls,
    path("tasks/<uuid:pk>/events/", TaskEventsView.as_view(), name="ai-task-events"),
    path("request-types/", RequestTypesView.as_view(), name="ai-request-types"),
    path("usage/", UsageView.as_view(), name="ai-usage"),
]

proposals = SimpleRouter(use_regex_path=False)
proposals.register("proposals", ProposalViewSet, basename="proposal")

others = [
    re_path(rf"^notes/(?P<pk>{ID_PATTERN})/indexing/$", NoteIndexingView.as_view(), name="note-indexing"),
    *proposals.urls,
]
