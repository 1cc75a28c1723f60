"""Idle connections leave in any order, and the one that has been idle longest is known at once."""

from inspect import getsource

import pytest
from gunicorn.workers.gthread import ThreadWorker

from NoteAssist_AI.gunicorn_worker import IdleConnections, Worker


def test_connections_leave_in_any_order():
    idle = IdleConnections()
    for name in "abcd":
        idle.append(name)

    idle.remove("c")

    assert (idle[0], list(idle), len(idle), bool(idle)) == ("a", ["a", "b", "d"], 3, True)
    assert [idle.popleft() for _ in range(3)] == ["a", "b", "d"]
    assert not idle


def test_a_connection_that_comes_back_is_the_last():
    idle = IdleConnections()
    for name in "abc":
        idle.append(name)

    idle.remove("a")
    idle.append("a")

    assert list(idle) == ["b", "c", "a"]


def test_without_connections_there_is_no_first_one():
    with pytest.raises(IndexError):
        IdleConnections()[0]


def test_gunicorn_still_does_nothing_else_with_its_idle_connections():
    """Whoever updates gunicorn learns here what to look at."""
    source = getsource(ThreadWorker)
    uses = {line.strip() for line in source.splitlines() if "self.keepalived_conns" in line}
    assert uses == {
        "self.keepalived_conns = deque()",
        "self.keepalived_conns.remove(conn)",
        "while self.keepalived_conns:",
        "if self.keepalived_conns:",
        "self.keepalived_conns[0].timeout - time.monotonic(), 0.0))",
        "conn = self.keepalived_conns[0]",
        "self.keepalived_conns.popleft()",
        "for conn in self.keepalived_conns:",
        "self.keepalived_conns.append(conn)",
        "elif len(self.keepalived_conns) >= self.max_keepalived:",
    }
    assert issubclass(Worker, ThreadWorker)
