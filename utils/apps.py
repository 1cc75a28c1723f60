from django.apps import AppConfig


class UtilsConfig(AppConfig):
    name = "utils"

    def ready(self) -> None:
        # Registers the system checks of production.
        from NoteAssist_AI import checks  # noqa: F401
