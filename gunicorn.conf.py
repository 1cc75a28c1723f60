"""gunicorn's settings; Render and `make run` start the web process with them.

An event loop holds the connections, 10,000 in two workers, and answers light fast reads. Threads carry out all other
requests, which would block it.
"""

import os
from pathlib import Path

from NoteAssist_AI import env
from NoteAssist_AI.open_files import connections_allowed
from utils.monitoring import boot, logs

env.load_file(Path(__file__).resolve().parent / ".env")
from NoteAssist_AI.client_limits import BODY_SECONDS  # noqa: E402  # which the file may set

_host = "0.0.0.0" if os.environ.get("ENVIRONMENT") == "production" else "127.0.0.1"
bind = f"{_host}:{env.port('PORT', 8000)}"
worker_class = "NoteAssist_AI.gunicorn_worker.WebWorker"
asgi_loop = "asyncio"  # uvloop saves less than a tenth of a request (decision 50)
workers = env.integer("WEB_CONCURRENCY", 2, minimum=1, maximum=1000)
worker_connections = connections_allowed(8000)
backlog = 4096  # connections that wait to be accepted, when everybody comes at once
keepalive = 75  # seconds: longer than the proxy keeps its own connections
timeout = max(30, int(BODY_SECONDS) + 1)  # without a heartbeat; gunicorn waits for a body as long, too
graceful_timeout = 25
max_requests = 0
preload_app = False
reload = env.text("ENVIRONMENT", "development") == "development"  # on changes of code
reload_engine = "poll"  # inotify reports any file beside a module as a change, and polls all files as well
control_socket_disable = True
logger_class = "NoteAssist_AI.gunicorn_logger.Logger"  # without an access log
errorlog = "-"
loglevel = env.log_level("LOG_LEVEL").lower()
logconfig_dict = logs.gunicorn_lines(loglevel.upper(), as_json=os.environ.get("ENVIRONMENT") == "production")
limit_request_line = 8190
limit_request_field_size = 8190
forwarder_headers = ""  # no header sets SCRIPT_NAME, PATH_INFO or REMOTE_USER, whoever sends it
env.exit_if_wrong()


def on_starting(server: object) -> None:
    """The processes of this boot count into a directory of its own."""
    if boot.are_metrics_wanted():
        boot.prepare_metrics()


def post_fork(server: object, worker: object) -> None:
    """A forked worker must share no connection with a parent that has loaded the application (``--preload``)."""
    from django.conf import settings

    if not settings.configured:
        return

    from django.db import connections

    from utils.redis.client import reset_client

    for connection in connections.all(initialized_only=True):
        connection.close()
    reset_client()


def post_worker_init(worker: object) -> None:
    """Event streams end when their process is told to stop, or it would wait for them."""
    from utils.streaming.clients import server

    server.is_stopping = lambda: not worker.alive  # type: ignore[attr-defined]
