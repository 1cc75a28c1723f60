"""The WSGI application that gunicorn serves.

The Celery app comes first: it names the settings, sees to the embedded engines and is what requests publish tasks with.
"""

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from NoteAssist_AI.celery import app as celery_app

__all__ = ["application", "celery_app"]

django_application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  # imports every view now, or the first request would wait for that

from accounts.fast_reads import FastReadMiddleware  # noqa: E402  # models need a Django that is set up

application = FastReadMiddleware(django_application)
