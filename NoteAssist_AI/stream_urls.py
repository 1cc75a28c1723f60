"""The URLs of the process that serves event streams: the streams and its health.

It serves no other paths, as one greenlet that computes (checks a password, parses a large body) stops all streams.
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
