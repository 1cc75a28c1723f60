from django.apps import AppConfig


class StudyConfig(AppConfig):
    name = "study"

    def ready(self) -> None:
        from ai_tasks import handlers
        from notes import importers
        from notes.blocks.stored import on_blocks_changed
        from notes.services import register_texts
        from study.account_files import register_files
        from study.anki.importing import import_package
        from study.blocks import follow_blocks
        from study.make_cards import MakeCards
        from study.services.cards import texts_of

        on_blocks_changed(follow_blocks)
        register_texts(texts_of)
        register_files()
        handlers.register(MakeCards())
        importers.register(importers.Importer("anki", (".apkg",), None, begin=import_package))
