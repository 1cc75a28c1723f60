"""The service's tables without what the service does when it starts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
