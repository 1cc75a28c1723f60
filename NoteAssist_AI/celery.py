"""The Celery application: what workers, beat and publishers share."""

import os

from celery import Celery
from celery.schedules import schedule
from celery.signals import celeryd_init
from django.conf import settings
from kombu import Exchange, Queue

from NoteAssist_AI import broker, embedded

embedded.ensure()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "NoteAssist_AI.settings")

broker.use()
app = Celery("NoteAssist_AI")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["utils"], related_name="async_optimization")

# AI tasks wait in a queue of their own: behind a thousand of them a sweep would expire and a mail come late.
app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in ("celery", "ai")]
app.conf.task_routes = {"utils.async_optimization.process_ai_request": {"queue": "ai"}}

app.conf.beat_schedule = {
    "sweep-ai-tasks": {
        "task": "ai_tasks.sweep",
        "schedule": schedule(settings.AI_SWEEP_SECONDS),
        "options": {"expires": settings.AI_SWEEP_SECONDS},
    },
    "send-due-password-resets": {
        "task": "accounts.send_due_password_resets",
        "schedule": schedule(60),
        "options": {"expires": 60},
    },
    "purge": {"task": "utils.purge", "schedule": schedule(3600), "options": {"expires": 3600}},
    "drain-notifications": {"task": "notifications.drain", "schedule": schedule(3), "options": {"expires": 3}},
}


@celeryd_init.connect
def be_patient_as_a_worker(**_kwargs: object) -> None:
    """A worker waits for its broker, also through a restart; only publishers must give up at once.

    It keeps no messages to give back (``celery_requests`` lets them go, too): a broker that is gone takes none, and
    that has ended workers. The sweep finds their tasks.
    """
    broker.Channel.do_restore = False
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "max_retries": None,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
    }
