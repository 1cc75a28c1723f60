"""The service's models alone, without what its apps register for the service when they are ready."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"


class NotesConfig(AppConfig):
    name = "notes"


class AITasksConfig(AppConfig):
    name = "ai_tasks"


class NotificationsConfig(AppConfig):
    name = "notifications"


class UtilsConfig(AppConfig):
    name = "utils"
