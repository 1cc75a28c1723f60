"""Clients that use the API at random and write down every answer."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.history import TERMINAL, Answer, History

REQUEST_SECONDS = 15.0
"""More than any request may take; what takes longer counts as unanswered."""
KEY_ATTEMPTS = 60
PASSWORD = "a password of this test"


@dataclass
class Account:
    """A user of the product, whom clients may share, and what they have learned."""

    access: str
    topics: list[int]
    tasks: dict[str, str] = field(default_factory=dict)
    """Status of each task as last heard."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keyed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Api:
    """One connection to the web server, made again when it breaks."""

    def __init__(self, port: int, access: str = "") -> None:
        self.port = port
        self.headers = {"Content-Type": "application/json"}
        if access:
            self.headers["Authorization"] = f"Bearer {access}"
        self._connection: http.client.HTTPConnection | None = None
        self._connected = 0.0

    @property
    def connected(self) -> float:
        """When the connection of the next request was last known to stand; now, if it will be made for it."""
        return time.time() if self._connection is None else self._connected

    def send(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any], http.client.HTTPMessage | None]:
        """Status (0 without an answer), document and headers."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        data = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, data, {**self.headers, **headers})
            response = self._connection.getresponse()
            document = json.loads(response.read() or b"{}")
            self._connected = time.time()
            return response.status, document, response.headers
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return 0, {"detail": f"{type(error).__name__}: {error}"}, None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def register(port: int, number: int, topics: int = 3) -> Account:
    """A new user with a note for each topic: what is written to one topic is told by one note's versions."""
    api = Api(port)
    person = {"email": f"client{number}@example.com", "name": f"Client {number}", "password": PASSWORD}
    code, answer, _ = api.send("POST", "/api/auth/register/", person)
    assert code == 201, answer
    api.headers["Authorization"] = f"Bearer {answer['access']}"
    account = Account(answer["access"], [])
    for index in range(topics):
        topic = {"title": f"Loops {index}", "explanation": f"Loops repeat. This is text {index} of {number}."}
        note = {"title": f"Note {index}", "chapters": [{"title": "Chapter", "topics": [topic]}]}
        code, answer, _ = api.send("POST", "/api/notes/", note)
        assert code == 201, answer
        account.topics.append(answer["chapters"][0]["topics"][0]["id"])
    api.close()
    return account


class Client(threading.Thread):
    """Submits, repeats, cancels, retries and polls until it is told to stop."""

    def __init__(
        self,
        number: int,
        account: Account,
        *,
        port: int,
        history: History,
        seed: int,
        session: str,
        may_submit: Callable[[], bool],
        think_seconds: tuple[float, float],
    ) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.number = number
        self.account = account
        self.history = history
        self.stopping = threading.Event()
        self.watching_only = threading.Event()
        self._may_submit, self._session, self._think_seconds = may_submit, session, think_seconds
        self._api = Api(port, account.access)
        self._dice = random.Random(seed * 1000 + number)
        self._count = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._act()
                time.sleep(self._dice.uniform(*self._think_seconds))
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._api.close()

    def _act(self) -> None:
        actions: list[tuple[Callable[[], None], int]] = [(self.poll, 50), (self.pending, 3), (self.list_tasks, 2)]
        if not self.watching_only.is_set():
            actions += [(self.cancel, 2), (self.retry, 5)]
            if self._may_submit():
                actions += [(self.submit, 50), (self.submit_with_key, 25), (self.repeat, 10), (self.repeat_key, 8)]
        act = self._dice.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
        act()

    # --- Actions ---

    def submit(self) -> None:
        body = self._body()
        self.account.bodies.append(body)
        self._send("submit", "POST", "/api/ai/tasks/", body)

    def repeat(self) -> None:
        """An equal request, perhaps while the first is under way."""
        if self.account.bodies:
            self._send("submit again", "POST", "/api/ai/tasks/", self._dice.choice(self.account.bodies[-6:]))

    def submit_with_key(self) -> None:
        """Sent until it is answered, as the header is meant."""
        self._count += 1
        key = f"{self._session} {self.number}.{self._count}"
        body = self._body()
        self.account.keyed.append((key, body))
        for _ in range(KEY_ATTEMPTS):
            answer = self._send_with_key(key, body)
            if answer.code in (200, 202) or self.stopping.is_set():
                return
            time.sleep(self._dice.uniform(0.2, 1.0))

    def repeat_key(self) -> None:
        if self.account.keyed:
            self._send_with_key(*self._dice.choice(self.account.keyed[-6:]))

    def cancel(self) -> None:
        if task_id := self._pick(finished=False):
            self._send("cancel", "POST", f"/api/ai/tasks/{task_id}/cancel/", task_id=task_id)

    def retry(self) -> None:
        if task_id := self._pick(finished=True):
            self._send("retry", "POST", f"/api/ai/tasks/{task_id}/retry/")

    def poll(self) -> None:
        if task_id := self._pick(finished=self._dice.random() < 0.2) or self._pick(finished=True):
            self._send("poll", "GET", f"/api/ai/tasks/{task_id}/", task_id=task_id)

    def pending(self) -> None:
        self._send("pending", "GET", "/api/notifications/pending/")

    def list_tasks(self) -> None:
        self._send("list", "GET", "/api/ai/tasks/?page_size=5")

    # --- How ---

    def _body(self) -> dict[str, Any]:
        """Mostly a request that no other equals; the others lead to joined and to cached tasks."""
        self._count += 1
        unique = {"context": f"Question {self._count} of client {self.number}, {self._session}."}
        topic = {"topic_id": self._dice.choice(self.account.topics)}
        make: Callable[[], dict[str, Any]] = self._dice.choice(
            [
                lambda: _request("generate_explanation", topic="Loops", **unique),
                lambda: _request("generate_code", topic="Loops", language="python", **unique),
                lambda: _request("summarize", content=f"Loops repeat. They end. {unique['context']}"),
                lambda: _request("generate_explanation", **unique) | topic | {"apply": True},
                lambda: _request("improve_explanation", instructions=unique["context"]) | topic | {"apply": True},
                lambda: _request("improve_explanation") | topic | {"apply": True},
            ]
        )
        return make()

    def _pick(self, *, finished: bool) -> str | None:
        tasks = list(self.account.tasks.items())
        found = [task_id for task_id, status in tasks if (status in TERMINAL) is finished]
        return self._dice.choice(found[-20:]) if found else None

    def _send_with_key(self, key: str, body: dict[str, Any]) -> Answer:
        answer = self._send("submit with key", "POST", "/api/ai/tasks/", body, Idempotency_Key=key)
        if answer.task_id:
            with self.history.lock:
                self.history.keyed[self.account.access, key].add(answer.task_id)
        return answer

    def _send(
        self, action: str, method: str, path: str, body: object = None, *, task_id: str = "", **headers: str
    ) -> Answer:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connected, began = self._api.connected, time.time()
        code, document, received = self._api.send(method, path, body, **headers)
        ended = time.time()
        is_task = code in (200, 202) and "status" in document
        if is_task:
            task_id = document["id"]
        answer = Answer(
            connected=connected,
            began=began,
            ended=ended,
            client=self.number,
            action=action,
            code=code,
            task_id=task_id,
            status=document["status"] if is_task else "",
            attempt=document["attempt"] if is_task else 0,
            progress=document["progress"] if is_task else 0,
            replayed=received is not None and "Idempotent-Replayed" in received,
            text="" if code in (200, 202) else f"{document.get('code', '')} {document.get('detail', '')}",
        )
        if is_task and not (answer.replayed and task_id in self.account.tasks):
            self.account.tasks[task_id] = answer.status
        self.history.add(answer)
        return answer


def _request(request_type: str, **data: str) -> dict[str, Any]:
    return {"request_type": request_type, "request_data": data}
