"""The API of AI tasks and proposals."""

from ai_tasks.views.events import TaskEventsView
from ai_tasks.views.indexing import NoteIndexingView
from ai_tasks.views.proposals import ProposalViewSet
from ai_tasks.views.tasks import AITaskViewSet, RequestTypesView, UsageView

__all__ = [
    "AITaskViewSet",
    "NoteIndexingView",
    "ProposalViewSet",
    "RequestTypesView",
    "TaskEventsView",
    "UsageView",
]
