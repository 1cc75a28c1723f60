"""The CPU benchmark measures columns that do the same: whoever answers otherwise ends it."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import cpu_worker
from benchmarks.cpu import assert_equal
from benchmarks.rows import COLUMNS, ROWS, Row

NOTE = {"id": 1, "title": "Note number 1", "tags": ["python"], "version": 1, "created_at": "2026-06-01T10:00:00Z"}
TASK = {"id": "a", "status": "queued", "timestamp": "2026-06-01T10:00:00Z", "links": {"self": "/a/"}}
SIGNED_IN = {"access": "a.b.c", "refresh": "d.e.f", "user": {"id": 1, "email": "a@example.com", "name": "Somebody"}}


class Asked(Row):
    def batch(self, world, column):
        return [("GET", "/", {}, "")]


def column(*bodies) -> SimpleNamespace:
    """A worker that answers every batch with these."""
    return SimpleNamespace(run=lambda sent, status, **options: {"bodies": [json.dumps(body) for body in bodies]})


def test_columns_that_do_not_answer_the_same_are_not_measured():
    row = Asked("row", "a row", lambda body: body["shown"])

    assert_equal(None, {"floor": column({"shown": 1, "id": 1}), "ours": column({"shown": 1, "id": 2})}, [row])
    with pytest.raises(SystemExit, match="row: ours answers 2"):
        assert_equal(None, {"floor": column({"shown": 1}), "ours": column({"shown": 2})}, [row])


def test_columns_that_differ_by_nature_are_not_compared():
    row = Asked("row", "a row", lambda body: body, alike=("floor", "ours"))

    assert_equal(None, {"naive": column([]), "floor": column([1]), "ours": column([1])}, [row])


@pytest.mark.parametrize(
    ("row", "body", "same", "other"),
    [
        ("create", NOTE, NOTE | {"id": 2, "created_at": "2026-06-01T10:00:01Z"}, NOTE | {"tags": []}),
        ("update", NOTE, NOTE | {"id": 2}, NOTE | {"version": 2}),
        ("delete", None, None, {}),
        ("ai_submit", TASK, TASK | {"id": "b", "task_id": "b", "links": {"self": "/b/"}}, TASK | {"status": "running"}),
        ("register", SIGNED_IN, SIGNED_IN | {"access": "g.h.i"}, SIGNED_IN | {"user": {"name": "Nobody"}}),
        ("login", SIGNED_IN, {"access": "g.h.i", "refresh": "j.k.l"}, {"access": "g.h.i"}),
        ("refresh", {"access": "a.b.c", "refresh": "d.e.f"}, {"access": "g.h.i"}, {}),
    ],
)
def test_writes_are_compared_without_ids_times_and_tokens(row, body, same, other):
    compared = ROWS[row].compared

    assert compared(body) == compared(same) != compared(other)


@pytest.mark.parametrize("row", ["list_304", "detail_304"])
def test_a_304_is_asked_of_every_column_that_knows_etags(row):
    wanted = {"floor": 304, "ours": 304, "careful": 304, "fastapi": 200, "naive": 200}

    assert {column: ROWS[row].status_of(column) for column in COLUMNS} == wanted


def test_an_answer_of_another_status_ends_the_benchmark():
    contestant = SimpleNamespace(prepare=lambda sent: lambda: [(200, "", b"[]")], statements=0)

    with pytest.raises(SystemExit, match="expected 304, got 200"):
        cpu_worker.measure(contestant, {"requests": [["GET", "/", {}, ""]], "status": 304})
