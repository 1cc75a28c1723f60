"""The WSGI application that gunicorn serves.

The Celery app comes first: it names the settings, sees to the embedded engines and is what requests publish tasks with.
"""

from django.core.wsgi import get_wsgi_application

from NoteAssist_AI.celery import app as celery_app

__all__ = ["application", "celery_app"]

django_application = get_wsgi_application()

from accounts.fast_reads import FastReadMiddleware  # noqa: E402  # models need a Django that is set up

application = FastReadMiddleware(django_application)
