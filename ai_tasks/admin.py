from django.contrib import admin

from ai_tasks.models import AITask, Proposal, ProviderState, SpendingDay
from utils.admin import ReadOnlyAdmin


@admin.register(AITask)
class AITaskAdmin(ReadOnlyAdmin):
    """Read-only: only the ledger changes tasks."""

    long_columns = ("request_data", "base", "result")
    list_display = ["id", "user", "request_type", "status", "attempt", "provider", "cost", "created_at", "finished_at"]
    list_filter = ["status", "request_type"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=user__email"]


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    long_columns = ("hunks", "layout")
    list_display = ["id", "user", "topic_id", "field", "status", "created_at"]
    list_filter = ["status", "field"]
    list_select_related = ["user"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=user__email"]


@admin.register(ProviderState)
class ProviderStateAdmin(ReadOnlyAdmin):
    list_display = ["name", "out_since", "error_code", "failures", "next_probe_at"]
    ordering = ["name"]
    search_fields = ["=name"]


@admin.register(SpendingDay)
class SpendingDayAdmin(ReadOnlyAdmin):
    list_display = ["day", "amount"]
    ordering = ["-day"]
    search_fields = ["=day"]
