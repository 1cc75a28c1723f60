"""What both conventional ways have in common: settings, and serializers and views that leave nothing to decide."""

import os
from datetime import timedelta
from typing import Any

import dj_database_url

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "rest_framework",
    "rest_framework_simplejwt",
    "benchmarks.peers.apps.AccountsConfig",
    "benchmarks.peers.apps.NotesConfig",
    "benchmarks.peers.apps.AITasksConfig",
    "benchmarks.peers.apps.NotificationsConfig",
    "benchmarks.peers.apps.UtilsConfig",
]
# As `startproject` writes it.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def settings() -> dict[str, Any]:
    return {
        "SECRET_KEY": os.environ["SECRET_KEY"],
        "DEBUG": False,
        "ALLOWED_HOSTS": os.environ["ALLOWED_HOSTS"].split(","),
        "INSTALLED_APPS": [*INSTALLED_APPS],
        "MIDDLEWARE": [*MIDDLEWARE],
        # Connections that stay, as hosts' guides advise; Django's default reconnects for each request.
        "DATABASES": {"default": dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=600)},
        "AUTH_USER_MODEL": "accounts.User",
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "TIME_ZONE": "UTC",
        "USE_TZ": True,
        "SIMPLE_JWT": {"SIGNING_KEY": os.environ["JWT_SIGNING_KEY"], "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15)},
    }
