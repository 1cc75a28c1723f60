from django.contrib import admin

from ai_tasks.models import AITask
from utils.admin import ReadOnlyAdmin


@admin.register(AITask)
class AITaskAdmin(ReadOnlyAdmin):
    """To look at only: the ledger alone changes tasks."""

    long_columns = ("request_data", "result")
    list_display = ["id", "user", "request_type", "status", "attempt", "provider", "created_at", "finished_at"]
    list_filter = ["status", "request_type"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=user__email"]
