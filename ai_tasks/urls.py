from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from ai_tasks.views import AITaskViewSet, NoteIndexingView, ProposalViewSet, RequestTypesView, TaskEventsView, UsageView
from notes.views.common import ID_PATTERN

router = SimpleRouter(use_regex_path=False)
router.register("ai/tasks", AITaskViewSet, basename="ai-task")
router.register("proposals", ProposalViewSet, basename="proposal")

urlpatterns = [
    path("ai/request-types/", RequestTypesView.as_view(), name="ai-request-types"),
    path("ai/usage/", UsageView.as_view(), name="ai-usage"),
    path("ai/tasks/<uuid:pk>/events/", TaskEventsView.as_view(), name="ai-task-events"),
    re_path(rf"^notes/(?P<pk>{ID_PATTERN})/indexing/$", NoteIndexingView.as_view(), name="note-indexing"),
    *router.urls,
]
