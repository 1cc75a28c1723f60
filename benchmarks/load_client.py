"""The load generator: thousands of keep-alive connections from one process on one core, open loop.

``python -m benchmarks.load_client`` reads a line with a JSON document from standard input. To standard output it writes
a line when the measurement begins, one when it ends, and a JSON document; before that it keeps its connections open
until standard input ends.

Each student has a connection and a schedule: the times between one's requests are exponential, and are drawn without
regard to the answers. A request that is due while the one before it is unanswered waits, and its latency counts from
when it was due. What is unanswered at the end has failed. So a slow server is not spared the load it was to get.

A server may close an idle connection just as its client sends: like browsers and proxies the
generator then sends a GET once more on a new connection. A POST has failed.
"""

import errno
import heapq
import json
import random
import resource
import select
import socket
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

RECEIVE_BYTES = 65_536
CONNECTS_AT_ONCE = 100
CONNECT_SECONDS = 120
MIX = (("poll", 0.60), ("list", 0.25), ("detail", 0.10), ("create", 0.05))


@dataclass(slots=True)
class Student:
    token: str
    notes: list[int]
    head: bytes = b""
    sock: socket.socket | None = None
    waiting: deque[tuple[float, str]] = field(default_factory=deque)
    """Requests that are due: when, and what. The first of them is under way if ``busy``."""
    busy: bool = False
    received: bytearray = field(default_factory=bytearray)
    missing: int = -1
    """Bytes of the body that are still to come; -1 until the head is complete."""
    status: int = 0
    requests: int = 0
    answers: int = 0
    """On this connection."""


class Generator:
    """Drives all students through one epoll."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.address = (job["host"], job["port"])
        # One for each purpose, so that what is due when is the same for every server.
        self.schedule_dice, self.kind_dice, self.note_dice = (random.Random(f"{job['seed']} {n}") for n in range(3))
        self.students = [Student(token, notes) for token, notes in zip(job["tokens"], job["notes"], strict=True)]
        for number, student in enumerate(self.students):
            # Behind the platform's proxy, each from an address of its own.
            client = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            student.head = (
                f"Host: {job['host']}\r\nAuthorization: Bearer {student.token}\r\nAccept: application/json\r\n"
                f"User-Agent: benchmark/1.0\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: {client}\r\n"
            ).encode()
        self.epoll = select.epoll()
        self.by_file: dict[int, Student] = {}
        self.kinds = [kind for kind, _ in MIX]
        self.weights = [weight for _, weight in MIX]
        self.latencies = {kind: array("d") for kind in self.kinds}
        self.errors: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.received_bytes = 0
        self.reconnected = 0
        self.resent = 0
        self.keep_from = 0.0

    # --- Connections ---

    def connect(self, student: Student) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        student.sock = sock
        student.received.clear()
        student.missing = -1
        student.answers = 0
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            self.errors[f"connect: {errno.errorcode.get(code, code)}"] += 1
        self.by_file[sock.fileno()] = student
        self.epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def connect_all(self) -> float:
        """Open every connection and have a first poll answered on each, some at a time; the seconds that it took.

        Clients connect because they have something to send: gunicorn keeps a thread for a connection that says nothing.
        """
        started = time.monotonic()
        self.keep_from = float("inf")
        for start in range(0, len(self.students), CONNECTS_AT_ONCE):
            batch = self.students[start : start + CONNECTS_AT_ONCE]
            for student in batch:
                student.waiting.append((time.perf_counter(), "poll"))
                self.send(student)
            while any(student.waiting for student in batch):
                if time.monotonic() - started > CONNECT_SECONDS:
                    raise SystemExit(f"connections could not be opened in time: {dict(self.errors)}")
                self._handle(self.epoll.poll(1))
        if self.errors:
            raise SystemExit(f"connections failed: {dict(self.errors)}")
        self.reconnected = 0
        return time.monotonic() - started

    def _established(self, student: Student) -> None:
        assert student.sock is not None
        code = student.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lost(student, f"connect: {errno.errorcode.get(code, code)}")
            return
        self.epoll.modify(student.sock.fileno(), select.EPOLLIN)
        if student.busy:
            self._transmit(student, student.sock)

    def _lost(self, student: Student, why: str) -> None:
        """The connection is gone; a request that was under way on it has failed."""
        assert student.sock is not None
        self.epoll.unregister(student.sock.fileno())
        del self.by_file[student.sock.fileno()]
        student.sock.close()
        student.sock = None
        if not student.busy:
            return
        if student.answers and student.missing < 0 and not student.received and student.waiting[0][1] != "create":
            self.resent += 1
        else:
            student.waiting.popleft()
            student.busy = False
            self.errors[why] += 1
        if student.waiting:
            self.send(student)

    # --- Requests ---

    def send(self, student: Student) -> None:
        """Send the request that has been due longest, on a new connection if the server closed the last one."""
        student.busy = True
        student.requests += 1
        if student.sock is None:
            self.reconnected += 1
            self.connect(student)
        else:
            self._transmit(student, student.sock)

    def _transmit(self, student: Student, sock: socket.socket) -> None:
        try:
            sock.send(self._request(student, student.waiting[0][1]))
        except OSError as error:
            self._lost(student, f"send: {errno.errorcode.get(error.errno or 0, error.errno)}")

    def _request(self, student: Student, kind: str) -> bytes:
        if kind == "poll":
            return b"GET /api/notifications/pending/ HTTP/1.1\r\n" + student.head + b"\r\n"
        if kind == "list":
            return b"GET /api/notes/ HTTP/1.1\r\n" + student.head + b"\r\n"
        if kind == "detail":
            note = self.note_dice.choice(student.notes)
            return b"GET /api/notes/%d/ HTTP/1.1\r\n" % note + student.head + b"\r\n"
        body = b'{"title":"Note %d","status":"draft","tags":["python","loops"]}' % student.requests
        line = b"POST /api/notes/ HTTP/1.1\r\nContent-Type: application/json\r\n"
        return line + student.head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def receive(self, student: Student, now: float) -> None:
        assert student.sock is not None
        try:
            data = student.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(student, f"receive: {errno.errorcode.get(error.errno or 0, error.errno)}")
            return
        if not data:
            self._lost(student, "closed by the server")
            return
        self.received_bytes += len(data)
        if student.missing < 0:
            student.received += data
            end = student.received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(student.received[:end]).lower()
            student.status = int(head[9:12])
            at = head.find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            student.missing = length - (len(student.received) - end - 4)
            student.received.clear()
        else:
            student.missing -= len(data)
        if student.missing <= 0:
            self._answered(student, now)

    def _answered(self, student: Student, now: float) -> None:
        due, kind = student.waiting.popleft()
        student.missing, student.busy = -1, False
        student.answers += 1
        if due >= self.keep_from:
            self.statuses[student.status] += 1
            if 200 <= student.status < 300:
                self.latencies[kind].append(now - due)
            else:
                self.errors[f"status {student.status}"] += 1
        if student.waiting:
            self.send(student)

    # --- A run ---

    def drive(self, schedule: "Schedule", *, until: float, grace: float) -> None:
        """Send what becomes due until a time, then wait for answers, but no longer than ``grace`` seconds."""
        while True:
            now = time.perf_counter()
            while (due := schedule.next_due()) <= now and due < until:
                student = schedule.take()
                student.waiting.append((due, self.kind_dice.choices(self.kinds, self.weights)[0]))
                if not student.busy:
                    self.send(student)
            if now >= until and (now >= until + grace or not any(student.waiting for student in self.students)):
                break
            pause = 0.05 if due >= until else max(0.0, min(0.05, due - now))
            self._handle(self.epoll.poll(pause))

    def _handle(self, events: list[tuple[int, int]]) -> None:
        now = time.perf_counter()
        for file, event in events:
            student = self.by_file.get(file)
            if student is None:
                continue
            if event & select.EPOLLOUT:
                self._established(student)
            elif event:
                self.receive(student, now)

    def give_up(self) -> None:
        """Count what is unanswered as failed, and close."""
        if unfinished := sum(len(student.waiting) for student in self.students):
            self.errors["unfinished"] += unfinished
        for student in self.students:
            if student.sock is not None:
                student.sock.close()


class Schedule:
    """When each student's next request is due: one heap of moments, each drawn from an exponential distribution."""

    def __init__(self, students: list[Student], dice: random.Random, *, rate: float, start: float) -> None:
        self._dice = dice
        self._rate_of_one = rate / len(students)
        self._heap = [(start + dice.expovariate(self._rate_of_one), number) for number in range(len(students))]
        self._students = students
        heapq.heapify(self._heap)

    def next_due(self) -> float:
        return self._heap[0][0]

    def take(self) -> Student:
        due, number = self._heap[0]
        heapq.heapreplace(self._heap, (due + self._dice.expovariate(self._rate_of_one), number))
        return self._students[number]


class Once:
    """Each student's one request, spread evenly over some seconds."""

    def __init__(self, students: list[Student], *, start: float, seconds: float) -> None:
        gap = seconds / len(students)
        self._left = deque((start + number * gap, student) for number, student in enumerate(students))

    def next_due(self) -> float:
        return self._left[0][0] if self._left else float("inf")

    def take(self) -> Student:
        return self._left.popleft()[1]


def measure_load(generator: Generator, job: dict[str, Any]) -> dict[str, Any]:
    connecting = generator.connect_all()
    start = time.perf_counter() + 0.1
    schedule = Schedule(generator.students, generator.schedule_dice, rate=job["rate"], start=start)
    generator.keep_from = start + job["warm_up"]
    generator.drive(schedule, until=generator.keep_from, grace=0.0)
    tell("begins")
    generator.drive(schedule, until=generator.keep_from + job["seconds"], grace=job["grace"])
    tell("ends")
    return {"connecting_seconds": connecting}


def measure_storm(generator: Generator, job: dict[str, Any]) -> dict[str, Any]:
    """Everybody connects within ``seconds`` and sends one request; how long until all are answered."""
    start = time.perf_counter() + 0.1
    once = Once(generator.students, start=start, seconds=job["seconds"])
    tell("begins")
    generator.drive(once, until=start + job["seconds"], grace=job["grace"])
    tell("ends")
    return {"drained_seconds": time.perf_counter() - start}


def tell(what: str) -> None:
    print(what, flush=True)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if len(job["tokens"]) + 100 > hard:
        raise SystemExit(f"{len(job['tokens'])} connections need a higher limit of open files (ulimit -n) than {hard}")
    generator = Generator(job)
    cpu, started = time.process_time(), time.perf_counter()
    measured = (measure_storm if job["kind"] == "storm" else measure_load)(generator, job)
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - started)
    sys.stdin.read()  # until somebody has looked at a server with all its connections
    generator.give_up()
    json.dump(
        {
            **measured,
            "latencies": {kind: list(values) for kind, values in generator.latencies.items()},
            "errors": dict(generator.errors),
            "statuses": {str(status): count for status, count in generator.statuses.items()},
            "reconnected": generator.reconnected,
            "resent": generator.resent,
            "received_bytes": generator.received_bytes,
            "generator_cpu_share": cpu_share,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
