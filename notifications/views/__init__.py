"""The API of notifications."""

from notifications.views.notifications import HistoryView, PendingView, ReadView
from notifications.views.stream import NotificationStreamView

__all__ = ["HistoryView", "NotificationStreamView", "PendingView", "ReadView"]
