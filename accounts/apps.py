from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        # Connects the signals of the admin's logins.
        # Registers the authentication schemes in the OpenAPI schema.
        from accounts import (
            admin_sessions,  # noqa: F401
            audit,  # noqa: F401
            schema,  # noqa: F401
        )

        autodiscover_modules("personal_data")
