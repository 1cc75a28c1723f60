"""URL paths of notifications, below ``/api/notifications/``."""

from django.urls import path

from notifications.views import HistoryView, NotificationStreamView, PendingView, ReadView

urlpatterns = [
    path("pending/", PendingView.as_view(), name="notifications-pending"),
    path("", HistoryView.as_view(), name="notifications"),
    path("read/", ReadView.as_view(), name="notifications-read"),
    path("stream/", NotificationStreamView.as_view(), name="notifications-stream"),
]
