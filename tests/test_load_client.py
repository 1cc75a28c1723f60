"""The benchmarks' load generator spares no server: what it was to send and was not answered has failed."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from benchmarks.load import Crowd, client
from benchmarks.load_client import Generator, measure_load, measure_storm

STUDENTS = 5
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
HANG_UP = b""
SILENCE = None


class Handler(socketserver.StreamRequestHandler):
    """Answers a connection's first request well, and every later one as the server was told."""

    def handle(self):
        answer = self.server.first
        while self._read_request():
            if answer == HANG_UP:
                return
            if answer is not SILENCE:
                self.wfile.write(answer)
            answer = self.server.later

    def _read_request(self):
        length = 0
        line = self.rfile.readline()
        if not line:
            return False
        while line not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            line = self.rfile.readline()
        self.rfile.read(length)
        return True


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextmanager
def serving(first, later) -> Iterator[int]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.first, server.later = first, later
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


TOKENS, NOTES = ["token"] * STUDENTS, [[1, 2]] * STUDENTS
JOB = {"rate": 100, "warm_up": 0, "seconds": 0.4, "grace": 60}
"""With grace for a slow machine: a server that answers ends it."""


def load(port, measure=measure_load, **other):
    job = {**JOB, **other, "host": "127.0.0.1", "port": port, "seed": 1, "tokens": TOKENS, "notes": NOTES}
    generator = Generator(job)
    measure(generator, job)
    generator.give_up()
    answered = sum(len(latencies) for latencies in generator.latencies.values())
    return answered, dict(generator.errors)


def test_every_request_of_a_good_server_is_answered(capsys):
    with serving(OK, OK) as port:
        answered, errors = load(port)

    assert answered > STUDENTS
    assert errors == {}
    assert capsys.readouterr().out == "begins\nends\n"


def test_requests_that_a_silent_server_was_to_get_have_failed(capsys):
    with serving(OK, OK) as port:
        expected, _ = load(port)
    with serving(OK, SILENCE) as port:
        answered, errors = load(port, grace=0.5)

    assert answered == 0
    assert errors == {"unfinished": expected}  # also those that waited for the first one's answer


def test_answers_of_failure_have_failed(capsys):
    with serving(OK, UNAVAILABLE) as port:
        answered, errors = load(port)

    assert answered == 0
    assert list(errors) == ["status 503"]


def test_a_read_on_a_connection_that_was_closed_meanwhile_is_sent_again_but_a_write_is_not(capsys):
    with serving(OK, OK) as port:
        expected, _ = load(port)
    with serving(OK, HANG_UP) as port:
        answered, errors = load(port)

    assert set(errors) == {"closed by the server"}
    assert answered + sum(errors.values()) == expected
    assert sum(errors.values()) < expected / 4


def test_a_storm_is_one_request_of_each_student(capsys):
    with serving(OK, HANG_UP) as port:
        assert load(port, measure_storm) == (STUDENTS, {})
    with serving(HANG_UP, OK) as port:
        assert load(port, measure_storm) == (0, {"closed by the server": STUDENTS})


def test_connections_are_open_for_as_long_as_somebody_looks_at_the_server():
    moments = []

    def look(moment):
        time.sleep(0.2)  # in which whoever wanted to close them would have
        sockets = psutil.Process().net_connections("tcp")
        moments.append((moment, sum(one.status == "ESTABLISHED" and one.laddr.port == port for one in sockets)))

    with serving(OK, OK) as port:
        client(Crowd(TOKENS, NOTES), port, {**JOB, "kind": "load"}, seed=1, look=look)

    assert moments == [("begins", STUDENTS), ("ends", STUDENTS)]
