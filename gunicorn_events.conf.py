"""gunicorn's settings for the process that holds event streams, a greenlet each instead of a thread.

The same application on another port, which serves streams and health only. Streams hold no database connection, so a
few are enough for opening them.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from NoteAssist_AI import env
from NoteAssist_AI.open_files import connections_allowed
from utils.monitoring import boot, logs

env.load_file(Path(__file__).resolve().parent / ".env")
_host = "0.0.0.0" if os.environ.get("ENVIRONMENT") == "production" else "127.0.0.1"
# A platform tells each service its own PORT; beside `web` on one machine the next port is free.
bind = f"{_host}:{env.port('EVENTS_PORT', env.port('PORT', 8001))}"
worker_class = "NoteAssist_AI.gunicorn_events_worker.EventsWorker"
workers = env.integer("EVENTS_CONCURRENCY", 1, minimum=1, maximum=1000)
_ROOM = 1000  # connections of requests that are refused
_wanted = env.integer("EVENTS_MAX_STREAMS", 10_000, minimum=1, maximum=1_000_000)
_max_streams = connections_allowed(_wanted + _ROOM) - _ROOM
worker_connections = _max_streams + _ROOM
backlog = 4096  # all clients of a process that was restarted come at once
keepalive = 5  # seconds for a request to come, and between two: a connection whose stream has ended has no other use
timeout = 30
graceful_timeout = 25  # longer than a stream takes to notice that it should end, and its connection after it
preload_app = False
control_socket_disable = True
logger_class = "NoteAssist_AI.gunicorn_logger.Logger"  # without an access log
errorlog = "-"
loglevel = env.log_level("LOG_LEVEL").lower()
logconfig_dict = logs.gunicorn_lines(loglevel.upper(), as_json=os.environ.get("ENVIRONMENT") == "production")
limit_request_line = 8190
limit_request_field_size = 8190
forwarder_headers = ""  # no header sets SCRIPT_NAME, PATH_INFO or REMOTE_USER, whoever sends it
raw_env = [
    "SERVES=streams",
    f"DB_POOL_MAX={env.integer('EVENTS_DB_POOL_MAX', 4, minimum=1, maximum=10_000)}",
    f"SSE_MAX_STREAMS={_max_streams}",
]
env.exit_if_wrong()


def on_starting(server: object) -> None:
    """The processes of this boot count into a directory of its own."""
    if boot.are_metrics_wanted():
        boot.prepare_metrics()


def post_worker_init(worker: Any) -> None:
    """Event streams end when their process is told to stop, or it would wait for them."""
    from utils.streaming.clients import server

    server.is_stopping = lambda: not worker.alive
    worker.wsgi = _on_another_stack(worker.wsgi)


def _on_another_stack(application: Callable[..., Any]) -> Callable[..., Any]:
    """Call the application in a greenlet that ends with its answer.

    A greenlet keeps all the stack that it ever used. Streams, which stay, so stay without the 12 kB of Django's calls.
    """
    import gevent
    from django.db import connections

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return application(environ, start_response)
        finally:
            connections.close_all()  # this greenlet's own, which nobody else could give back

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        # Nothing here needs a body, so none is waited for.
        environ |= {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}
        return gevent.spawn(call, environ, start_response).get()

    return answer
