from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "notifications"

    def ready(self) -> None:
        # Registers how the API's description tells of notifications.
        from notifications import schema  # noqa: F401
