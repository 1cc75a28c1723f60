from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Registers how the API's description tells of signing in.
        from accounts import schema  # noqa: F401
