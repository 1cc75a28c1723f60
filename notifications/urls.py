from django.urls import path

from notifications.views import HistoryView, NotificationStreamView, PendingView, ReadView

urlpatterns = [
    path("notifications/pending/", PendingView.as_view(), name="notifications-pending"),
    path("notifications/", HistoryView.as_view(), name="notifications"),
    path("notifications/read/", ReadView.as_view(), name="notifications-read"),
    path("notifications/stream/", NotificationStreamView.as_view(), name="notifications-stream"),
]
