"""The Celery application, for all who send tasks. ``NoteAssist_AI/celery.py`` adds what workers and beat need.

Celery's own ``current_app`` will not do: it is another, unconfigured application in a process that has imported
none.
"""

from celery import Celery
from kombu import Exchange, Queue
from kombu.transport.redis import Transport
from redis import ResponseError

# Reconnect when Redis refuses writes (READONLY, MISCONF, NOREPLICAS, OOM) or ends a blocking read (UNBLOCKED). kombu
# treats these replies as errors of one channel, which has stopped workers.
Transport.connection_errors = (*Transport.connection_errors, ResponseError)

app = Celery("NoteAssist_AI")
app.config_from_object("django.conf:settings", namespace="CELERY")

# AI tasks have their own queue: behind a thousand of them, sweeps would expire and mails would be late.
app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in ("celery", "ai")]
app.conf.task_routes = {
    "utils.async_optimization.process_ai_request": {"queue": "ai"},
    "ai_tasks.index_notes": {"queue": "ai"},  # it also waits for a provider
}
