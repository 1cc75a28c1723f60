"""Notes as operators see them: to look at only, as every write to a note must raise its version under its lock."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from notes.models import Chapter, Note, NoteVersion, Topic


class LightChangeList(ChangeList):
    """A list that does not load the columns which its rows do not show and which may be long."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(request, *args, **kwargs).defer(*self.model_admin.long_columns)  # type: ignore[attr-defined]


class NotesAdmin(ReadOnlyAdmin):
    long_columns: tuple[str, ...] = ("search",)
    ordering = ["-id"]
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LightChangeList


@admin.register(Note)
class NoteAdmin(NotesAdmin):
    list_display = ["id", "title", "user", "status", "tags", "version", "updated_at", "deleted_at"]
    list_filter = ["status"]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email__startswith", "title__icontains"]


@admin.register(Chapter)
class ChapterAdmin(NotesAdmin):
    long_columns = ("search", "note__search")
    list_display = ["id", "title", "note", "order"]
    list_select_related = ["note"]
    search_fields = ["=id", "=note__id", "title__icontains"]


@admin.register(Topic)
class TopicAdmin(NotesAdmin):
    long_columns = ("search", "explanation", "code", "sources", "chapter__search")
    list_display = ["id", "title", "chapter", "order", "code_language"]
    list_select_related = ["chapter"]
    search_fields = ["=id", "=chapter__note__id", "title__icontains"]


@admin.register(NoteVersion)
class NoteVersionAdmin(NotesAdmin):
    long_columns = ("snapshot", "note__search")
    list_display = ["id", "note", "version", "reason", "created_at"]
    list_filter = ["reason"]
    list_select_related = ["note"]
    search_fields = ["=note__id"]
