from django.contrib import admin

from ai_tasks.embedding_rows import EmbeddingModel, EmbeddingUse, NoteIndexing, PassageVector
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


@admin.register(PassageVector)
class PassageVectorAdmin(ReadOnlyAdmin):
    long_columns = ("vector",)
    list_display = ["id", "user", "topic_id", "hash", "model", "dimension"]
    list_select_related = ["user"]
    ordering = ["-id"]
    search_fields = ["=id", "=hash", "=user__email"]


@admin.register(NoteIndexing)
class NoteIndexingAdmin(ReadOnlyAdmin):
    list_display = ["note_id", "due_at", "failures", "error_code", "model", "passages", "skipped", "indexed_at"]
    ordering = ["-note_id"]
    search_fields = ["=note__id"]


@admin.register(EmbeddingModel)
class EmbeddingModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "dimension", "failures", "paused_until", "error_code"]
    ordering = ["name"]
    search_fields = ["=name"]


@admin.register(EmbeddingUse)
class EmbeddingUseAdmin(ReadOnlyAdmin):
    list_display = ["user", "day", "calls", "tokens", "cost"]
    list_select_related = ["user"]
    ordering = ["-user"]
    search_fields = ["=user__email"]
