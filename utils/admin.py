"""Base classes of the admin, and the admin of the models in ``utils``."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from utils.models import FileToDelete, IdempotencyRecord, PendingEpochBump


class LightChangeList(ChangeList):
    """A list that does not load long columns, as it does not show them."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.long_columns)  # type: ignore[attr-defined]


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Read-only: only the services write these rows."""

    long_columns: tuple[str, ...] = ()
    ordering = ["-id"]
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LightChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    long_columns = ("body", "body_hash")
    list_display = ["id", "user", "route", "key", "status", "created_at"]
    list_select_related = ["user"]
    search_fields = ["=key", "user__email__startswith"]


@admin.register(PendingEpochBump)
class PendingEpochBumpAdmin(ReadOnlyAdmin):
    list_display = ["id", "created_at"]
    search_fields = ["=id"]


@admin.register(FileToDelete)
class FileToDeleteAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "created_at"]
    search_fields = ["=name"]
