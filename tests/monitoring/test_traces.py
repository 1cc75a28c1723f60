"""Traces and error reports work past the fast path, and say nothing of a user."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import client_of
from tests.processes import environment_of_this_test
from tests.test_deployment import outcome

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]


@contextmanager
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """Takes what is sent to it."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, received
        server.shutdown()


STORY = """
import sys
from io import BytesIO
from NoteAssist_AI.wsgi import application
from ai_tasks import ledger
from ai_tasks.worker import worker
from utils.monitoring import traces, tasks

def get(path, parent=""):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "tags=marker", "SERVER_NAME": "testserver",
        "SERVER_PORT": "80", "HTTP_HOST": "localhost", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
        "HTTP_AUTHORIZATION": sys.argv[1], "REMOTE_ADDR": "192.0.2.1", "HTTP_TRACEPARENT": parent}
    list(application(environ, lambda status, headers: print(status)))

get("/api/notes/", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
get("/api/notes/marker/")
with traces.span("request", parent={}):
    task = ledger.submit(user_id=int(sys.argv[2]), request_type="summarize",
        request_data={"content": "A marker repeats. It ends. " * 5}).task
    headers = tasks.headers_of_message()
with traces.span("ai task", parent=headers, task_id=str(task.pk)):
    worker.execute(task.pk)
from opentelemetry import trace
trace.get_tracer_provider().shutdown()
"""


def test_spans_reach_from_a_fast_read_and_a_task_to_the_provider(alice):
    token = client_of(alice)._credentials["HTTP_AUTHORIZATION"]
    with collector() as (port, received):
        environment = environment_of_this_test(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        done = outcome([sys.executable, "-c", STORY, token, str(alice.pk)], environment)

    assert done.returncode == 0, done.stderr
    spans = [
        span
        for document in received
        for resource in ExportTraceServiceRequest.FromString(document).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in spans}
    assert by_name["GET /api/notes/"].trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert by_name["GET /api/notes/"].parent_span_id.hex() == "b7ad6b7169203331"
    assert "GET unmatched" in by_name
    task, call = by_name["ai task"], by_name["ai provider"]
    assert task.parent_span_id == by_name["request"].span_id
    assert (call.parent_span_id, call.trace_id) == (task.span_id, by_name["request"].trace_id)
    assert b"marker" not in b"".join(received)


REPORT = """
import json, os
from io import BytesIO
import sentry_sdk
from sentry_sdk.transport import Transport

class Printed(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.payload.json and "exception" in item.payload.json:
                print(json.dumps(item.payload.json))

from utils.monitoring import error_reports
made = error_reports.options
error_reports.options = lambda *arguments: {**made(*arguments), "transport": Printed}
from NoteAssist_AI.wsgi import application
from utils.page_cache import fast_reads
import NoteAssist_AI.before_django as before_django

def fail(*args, **kwargs):
    raise KeyError("broken")

before_django.admit_request = fail
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/notes/", "QUERY_STRING": "tags=marker",
    "SERVER_NAME": "testserver", "SERVER_PORT": "80", "HTTP_HOST": "localhost",
    "wsgi.url_scheme": "http", "wsgi.input": BytesIO(),
    "HTTP_AUTHORIZATION": os.environ["TOKEN"], "REMOTE_ADDR": "192.0.2.1"}
list(application(environ, lambda status, headers: print(status)))
"""


def test_an_error_before_django_is_reported(alice):
    token = client_of(alice)._credentials["HTTP_AUTHORIZATION"]
    environment = environment_of_this_test(SENTRY_DSN="https://key@sentry.example.com/1", TOKEN=token)
    done = outcome([sys.executable, "-c", REPORT], environment)

    status, *reports = done.stdout.splitlines()[::-1]
    assert status == "500 Internal Server Error", done.stderr
    [error] = json.loads(reports[0])["exception"]["values"]
    assert (error["type"], error["value"]) == ("KeyError", "'broken'")
    for secret in ("marker", token.split()[1], "192.0.2.1"):
        assert secret not in done.stdout
