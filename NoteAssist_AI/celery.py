"""The Celery application of workers and beat: ``utils.redis.celery_app`` with their schedule, logging and metrics."""

import logging.config

from celery.schedules import crontab, schedule
from celery.signals import beat_init, celeryd_init, setup_logging, worker_ready
from django.conf import settings
from kombu.transport.redis import Channel

from NoteAssist_AI import embedded, env

embedded.ensure_or_exit()
env.load_settings()

from utils.monitoring import tasks as _lines_of_tasks  # noqa: E402, F401  # connects its signals
from utils.redis.celery_app import app  # noqa: E402

__all__ = ["app"]

app.autodiscover_tasks(["utils"], related_name="async_optimization")

app.conf.beat_schedule = {
    "sweep-ai-tasks": {
        "task": "ai_tasks.sweep",
        "schedule": schedule(settings.AI_SWEEP_SECONDS),
        "options": {"expires": settings.AI_SWEEP_SECONDS},
    },
    "wake-waiting-ai-tasks": {"task": "ai_tasks.wake", "schedule": schedule(2), "options": {"expires": 2}},
    "send-due-password-resets": {
        "task": "accounts.send_due_password_resets",
        "schedule": schedule(60),
        "options": {"expires": 60},
    },
    "purge": {"task": "utils.purge", "schedule": schedule(3600), "options": {"expires": 3600}},
    "drain-views": {"task": "notes.drain_views", "schedule": schedule(5), "options": {"expires": 5}},
    "purge-orphans": {"task": "notes.purge_orphans", "schedule": schedule(3600), "options": {"expires": 3600}},
    "delete-files": {"task": "utils.delete_files", "schedule": schedule(30), "options": {"expires": 30}},
    "sweep-files": {
        "task": "utils.sweep_files",
        "schedule": crontab(hour="3", minute="0"),
        "options": {"expires": 3600},
    },
    "publish-note-jobs": {"task": "notes.publish_jobs", "schedule": schedule(30), "options": {"expires": 30}},
    "make-words": {"task": "notes.make_words", "schedule": schedule(15), "options": {"expires": 15}},
    "purge-trash": {"task": "notes.purge_trash", "schedule": schedule(3600), "options": {"expires": 3600}},
    "bump-epoch": {"task": "utils.bump_epoch", "schedule": schedule(2), "options": {"expires": 2}},
    "drain-notifications": {"task": "notifications.drain", "schedule": schedule(3), "options": {"expires": 3}},
}
if settings.EMBEDDINGS_ARE_ON:
    app.conf.beat_schedule["index-notes"] = {
        "task": "ai_tasks.index_notes",
        "schedule": schedule(15),
        "options": {"expires": 15},
    }


@celeryd_init.connect
@setup_logging.connect
def use_our_logging(**_kwargs: object) -> None:
    """Keep Celery from configuring logging; this runs early, because Celery warns before it sets up logging."""
    logging.config.dictConfig(settings.LOGGING)
    logging.captureWarnings(True)


@celeryd_init.connect
def let_workers_wait_for_the_broker(**_kwargs: object) -> None:
    """Workers wait for their broker, also through its restart; only publishers must fail fast.

    Workers do not return unacknowledged messages (see also ``celery_requests``): an unavailable broker cannot take
    them, and the error has ended workers. The sweep republishes their tasks.
    """
    Channel.do_restore = False
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "max_retries": None,
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
    }


@worker_ready.connect
def tell_metrics_of_worker(**_kwargs: object) -> None:
    from utils.monitoring.exporter import exporter

    exporter.start("worker")


@beat_init.connect
def tell_metrics_of_beat(**_kwargs: object) -> None:
    from utils.monitoring.exporter import exporter

    exporter.start("beat")
