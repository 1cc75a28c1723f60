"""Notes as operators see them: to look at only, as every write to a note must raise its version under its lock."""

from django.contrib import admin

from notes.models import Chapter, Note, NoteVersion, Topic
from utils.admin import ReadOnlyAdmin


@admin.register(Note)
class NoteAdmin(ReadOnlyAdmin):
    long_columns = ("search",)
    list_display = ["id", "title", "user", "status", "tags", "version", "updated_at", "deleted_at"]
    list_filter = ["status"]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email__startswith", "title__icontains"]


@admin.register(Chapter)
class ChapterAdmin(ReadOnlyAdmin):
    long_columns = ("search", "note__search")
    list_display = ["id", "title", "note", "order"]
    list_select_related = ["note"]
    search_fields = ["=id", "=note__id", "title__icontains"]


@admin.register(Topic)
class TopicAdmin(ReadOnlyAdmin):
    long_columns = ("search", "explanation", "code", "sources", "chapter__search")
    list_display = ["id", "title", "chapter", "order", "code_language"]
    list_select_related = ["chapter"]
    search_fields = ["=id", "=chapter__note__id", "title__icontains"]


@admin.register(NoteVersion)
class NoteVersionAdmin(ReadOnlyAdmin):
    long_columns = ("snapshot", "note__search")
    list_display = ["id", "note", "version", "reason", "created_at"]
    list_filter = ["reason"]
    list_select_related = ["note"]
    search_fields = ["=note__id"]
