from django.apps import AppConfig
from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "accounts.admin_site.AdminSite"


class SiteConfig(AppConfig):
    """The site as one of its apps: it has system checks and a command."""

    name = "NoteAssist_AI"

    def ready(self) -> None:
        from ai_tasks.models import AITask
        from NoteAssist_AI import (
            ai_settings,
            checks,  # noqa: F401  # registers the system checks
        )

        ai_settings.stop_with_unknown_types(AITask.RequestType.values)
