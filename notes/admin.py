"""The admin of notes. Read-only, as every write to a note must raise its version under its lock."""

from django.contrib import admin

from notes.models import Attachment, Chapter, KeptTopic, Note, NoteLink, NoteVersion, Share, StorageUse, Topic
from notes.transfers import ImportedFile, NoteExport, NoteImport, NoteSource
from utils.admin import ReadOnlyAdmin


@admin.register(Note)
class NoteAdmin(ReadOnlyAdmin):
    long_columns = ("search", "words", "title_key")
    list_display = ["id", "title", "user", "status", "tags", "version", "updated_at", "deleted_at"]
    list_filter = ["status"]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email__startswith", "title__icontains"]


@admin.register(Chapter)
class ChapterAdmin(ReadOnlyAdmin):
    long_columns = ("search", "words", "note__search", "note__words", "note__title_key")
    list_display = ["id", "title", "note", "order"]
    list_select_related = ["note"]
    search_fields = ["=id", "=note__id", "title__icontains"]


@admin.register(Topic)
class TopicAdmin(ReadOnlyAdmin):
    long_columns = ("search", "words", "explanation", "code", "sources", "blocks", "chapter__search", "chapter__words")
    list_display = ["id", "title", "chapter", "order", "code_language"]
    list_select_related = ["chapter"]
    search_fields = ["=id", "=chapter__note__id", "title__icontains"]


@admin.register(NoteVersion)
class NoteVersionAdmin(ReadOnlyAdmin):
    long_columns = ("snapshot", "note__search", "note__words", "note__title_key")
    list_display = ["id", "note", "version", "reason", "created_at"]
    list_filter = ["reason"]
    list_select_related = ["note"]
    search_fields = ["=note__id"]


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    long_columns = ("note__search", "note__words", "note__title_key")
    list_display = ["id", "name", "content_type", "size", "user", "note_id", "created_at"]
    list_filter = ["content_type"]
    ordering = ["-created_at"]
    list_select_related = ["user"]
    search_fields = ["=id", "=note__id", "user__email__startswith"]


@admin.register(Share)
class ShareAdmin(ReadOnlyAdmin):
    long_columns = ("note__search", "note__words", "note__title_key")
    fields = ["id", "note", "expires_at", "views", "created_at"]  # not the slug, which gives access, nor the password
    list_display = ["id", "note_id", "expires_at", "views", "created_at"]
    ordering = ["-created_at"]
    search_fields = ["=id", "=note__id"]


@admin.register(StorageUse)
class StorageUseAdmin(ReadOnlyAdmin):
    list_display = ["user", "size_bytes"]
    ordering = ["-user"]
    list_select_related = ["user"]
    search_fields = ["user__email__startswith"]


@admin.register(NoteLink)
class NoteLinkAdmin(ReadOnlyAdmin):
    long_columns = (
        *("target", "key", "meant__title_key"),
        *("topic__explanation", "topic__code", "topic__sources", "topic__blocks"),
        *("topic__words", "topic__search"),
        *("meant__words", "meant__search"),
    )
    list_display = ["id", "user", "topic", "meant"]
    list_select_related = ["user", "topic", "meant"]
    search_fields = ["=id", "user__email__startswith"]


@admin.register(NoteImport)
class NoteImportAdmin(ReadOnlyAdmin):
    long_columns = ("error_detail",)
    ordering = ["-created_at"]
    list_display = ["id", "user", "name", "status", "dry_run", "total", "created_at", "finished_at"]
    list_filter = ["status"]
    list_select_related = ["user"]
    search_fields = ["=id", "user__email__startswith"]


@admin.register(ImportedFile)
class ImportedFileAdmin(ReadOnlyAdmin):
    long_columns = ("name", "warnings", "note__search", "note__words", "note__title_key")
    list_display = ["id", "note_import_id", "position", "outcome", "note"]
    list_filter = ["outcome"]
    list_select_related = ["note"]
    search_fields = ["=note_import__id"]


@admin.register(NoteSource)
class NoteSourceAdmin(ReadOnlyAdmin):
    long_columns = ("path", "note__search", "note__words", "note__title_key")
    list_display = ["id", "user", "note", "note_version"]
    list_select_related = ["user", "note"]
    search_fields = ["user__email__startswith", "=note__id"]


@admin.register(NoteExport)
class NoteExportAdmin(ReadOnlyAdmin):
    long_columns = ("error_detail", "warnings", "note__search", "note__words", "note__title_key")
    ordering = ["-created_at"]
    list_display = ["id", "user", "note", "note_version", "format", "status", "created_at", "finished_at"]
    list_filter = ["status"]
    list_select_related = ["user", "note"]
    search_fields = ["=id", "user__email__startswith", "=note__id"]


@admin.register(KeptTopic)
class KeptTopicAdmin(ReadOnlyAdmin):
    long_columns = ("content", "note__search", "note__words", "note__title_key")
    list_display = ["id", "note", "topic", "base"]
    list_select_related = ["note"]
    search_fields = ["=note__id", "=topic"]
