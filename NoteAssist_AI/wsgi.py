"""The WSGI application that gunicorn serves.

The Celery app comes first: it names the settings, sees to the embedded engines and is what requests publish tasks with.
"""

from django.core.wsgi import get_wsgi_application

from NoteAssist_AI.celery import app as celery_app

__all__ = ["application", "celery_app"]

application = get_wsgi_application()
