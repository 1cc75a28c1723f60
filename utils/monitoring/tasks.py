"""Makes log lines of workers name the request that queued the task: its id is a header of the message."""

from typing import Any

from celery.signals import task_postrun, task_prerun

from utils.monitoring import traces
from utils.monitoring.context import current_request_id

REQUEST_ID = "request_id"


def headers_of_message() -> dict[str, str]:
    """Headers for log lines and traces: the id of the request, and its trace. No behaviour depends on them."""
    request_id = current_request_id.get()
    headers = {REQUEST_ID: request_id} if request_id else {}
    return headers | traces.headers_of_message() if traces.IS_ON else headers


@task_prerun.connect
def begin(task: Any, **_kwargs: object) -> None:
    current_request_id.set((task.request.headers or {}).get(REQUEST_ID, ""))


@task_postrun.connect
def end(**_kwargs: object) -> None:
    current_request_id.set("")  # threads are reused
