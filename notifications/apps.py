from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        # Registers extensions of the API's description.
        from notifications import schema  # noqa: F401
