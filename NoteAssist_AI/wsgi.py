"""The WSGI application: `events` serves it as it is, `web` calls it in threads for what its event loop does not answer.

The Celery app is imported first: it sets the settings module and starts the embedded engines.
"""

import gc
import logging
import os
from typing import Any

import django
from django.conf import settings
from django.urls import get_resolver

import NoteAssist_AI.celery  # noqa: F401  # see above

django.setup(set_prefix=False)

from NoteAssist_AI.handler import Handler  # noqa: E402  # reads settings, which name the engines by now

django_application = Handler()
get_resolver().url_patterns  # noqa: B018  # imports all views now, so that the first request need not wait for that

from NoteAssist_AI.before_django import FastReadMiddleware  # noqa: E402  # models need a Django that is set up
from NoteAssist_AI.demo_accounts import stop_with_demo_accounts  # noqa: E402
from utils.monitoring import traces  # noqa: E402
from utils.monitoring.exporter import exporter  # noqa: E402

fast_reads = FastReadMiddleware(django_application)
application: Any = fast_reads
event_loop_reads: FastReadMiddleware | None = fast_reads
"""What a server's event loop asks before a thread calls ``application``."""
if traces.IS_ON:
    application = traces.TracedApplication(application)
    event_loop_reads = None
exporter.start("events" if os.environ.get("SERVES") == "streams" else "web")

if settings.IS_PRODUCTION:
    stop_with_demo_accounts()
if settings.IS_PRODUCTION and not settings.SERVED_OVER_HTTPS:
    logging.getLogger(__name__).warning(
        "PUBLIC_URL begins with http://: passwords and tokens cross the network unencrypted. "
        "This is for a private network only."
    )

# Exempt loaded objects from garbage collection.
gc.collect()
gc.freeze()
