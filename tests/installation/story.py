"""What a student does, through whatever stands before the product."""

import json
import ssl
import urllib.request
from typing import Any

from ai_tasks.models import AITask
from tests.processes import POLITE_SECONDS, wait_until

TEXT = "A loop repeats its body. It ends when its condition is false. An endless loop never ends. " * 4


class Client:
    """Speaks to one address. Without a proxy of its own it says what the platform's would: that it ended TLS."""

    def __init__(self, base: str, *, behind_proxy: bool = False) -> None:
        self.base = base
        self.headers = {"Content-Type": "application/json"}
        if not behind_proxy:
            self.headers["X-Forwarded-Proto"] = "https"
        trusting = ssl.create_default_context()
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting)
        )

    def open(self, path: str, body: Any = None, *, method: str | None = None, **headers: str) -> Any:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {**self.headers, **headers}, method=method)
        return self._opener.open(request, timeout=60)

    def send(self, path: str, body: Any = None, **headers: str) -> Any:
        with self.open(path, body, **headers) as response:
            return json.load(response)

    def register(self, email: str) -> None:
        joined = self.send("/api/auth/register/", {"email": email, "name": "Ada", "password": "a long phrase of mine"})
        self.headers["Authorization"] = f"Bearer {joined['access']}"


def tell(client: Client, email: str) -> None:
    """Register, write a note, ask AI about it, and be notified of its answer."""
    client.register(email)
    topic = {"title": "Loops", "explanation": TEXT}
    note = client.send("/api/notes/", {"title": "Python", "chapters": [{"title": "Control", "topics": [topic]}]})
    topic_id = note["chapters"][0]["topics"][0]["id"]
    body = {"request_type": "summarize", "request_data": {"length": "short"}, "topic_id": topic_id}
    task_id = client.send("/api/ai/tasks/", body)["task_id"]

    wait_until(lambda: client.send(f"/api/ai/tasks/{task_id}/")["status"] in AITask.TERMINAL, every=POLITE_SECONDS)

    task = client.send(f"/api/ai/tasks/{task_id}/")
    assert (task["status"], task["provider"], task["topic_id"]) == ("succeeded", "offline", topic_id)
    pending = client.send("/api/notifications/pending/")
    assert [notification["action_id"] for notification in pending["results"]] == [task_id]
