"""The paths of the process that holds event streams: those, and its health.

One greenlet that computes stops all streams, as checking a password or parsing a large body would.
"""

from django.urls import path, re_path

from ai_tasks.views.events import TaskEventsView
from notifications.views.stream import NotificationStreamView
from utils.http.errors import only_streams_here
from utils.http.health import live, ready

urlpatterns = [
    path("api/ai/tasks/<uuid:pk>/events/", TaskEventsView.as_view(), name="ai-task-events"),
    path("api/notifications/stream/", NotificationStreamView.as_view(), name="notifications-stream"),
    path("healthz/live", live, name="live"),
    path("healthz/ready", ready, name="ready"),
    re_path(r"", only_streams_here),
]
