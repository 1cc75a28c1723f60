from django.apps import AppConfig
from django.contrib.postgres.signals import register_type_handlers
from django.db.backends.signals import connection_created


class UtilsConfig(AppConfig):
    name = "utils"

    def ready(self) -> None:
        # Registers the system checks of production.
        from NoteAssist_AI import checks  # noqa: F401

        # No column is of an extension's type, so nothing needs to be told to a connection each time the pool gives it.
        connection_created.disconnect(register_type_handlers)
