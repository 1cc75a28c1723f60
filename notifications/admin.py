from django.contrib import admin
from django.http import HttpRequest

from notifications.models import Notification


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin):
    """To look at only, as a change would not reach the live inbox; deletable, as a user's rows go with the user."""

    list_display = ["title", "user", "type", "created_at", "notified_at", "read_at"]
    list_filter = ["type"]
    list_select_related = ["user"]
    search_fields = ["=id", "=user__email"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Notification | None = None) -> bool:
        return False
