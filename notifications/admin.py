from django.contrib import admin

from notifications.models import Notification
from utils.admin import ReadOnlyAdmin


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """Read-only: the live inbox in Redis would not see a change, and would restore a deleted row."""

    list_display = ["title", "user", "type", "created_at", "notified_at", "read_at"]
    list_filter = ["type"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=user__email"]
