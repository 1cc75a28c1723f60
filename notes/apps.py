from django.apps import AppConfig


class NotesConfig(AppConfig):
    name = "notes"

    def ready(self) -> None:
        from notes import schema  # noqa: F401  # registers its class
        from notes.models import Attachment
        from notes.services.imports.formats import register_formats
        from notes.transfers import NoteExport, NoteImport
        from utils import storage

        storage.register(storage.FileColumn("attachments", Attachment))
        storage.register(storage.FileColumn("imports", NoteImport))
        storage.register(storage.FileColumn("exports", NoteExport))
        register_formats()
