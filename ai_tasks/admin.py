from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from ai_tasks.models import AITask


@admin.register(AITask)
class AITaskAdmin(ReadOnlyAdmin):
    """To look at only: the ledger alone changes tasks."""

    list_display = ["id", "user", "request_type", "status", "attempt", "provider", "created_at", "finished_at"]
    list_filter = ["status", "request_type", "provider"]
    list_select_related = ["user"]
    search_fields = ["=id", "=user__email"]
    show_full_result_count = False
