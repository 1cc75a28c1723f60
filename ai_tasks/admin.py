from django.contrib import admin
from django.http import HttpRequest

from ai_tasks.models import AITask


@admin.register(AITask)
class AITaskAdmin(admin.ModelAdmin):
    """To look at only: the ledger alone changes tasks."""

    list_display = ["id", "user", "request_type", "status", "attempt", "provider", "created_at", "finished_at"]
    list_filter = ["status", "request_type", "provider"]
    list_select_related = ["user"]
    search_fields = ["=id", "=user__email"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AITask | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AITask | None = None) -> bool:
        return False
