"""Part B: whether a request costs more the more notes there are, of its user or in all.

In the process, as in part A: CPU of the application and of PostgreSQL together, which is what does not depend on who
else uses the machine. Every read misses.
"""

import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
import psycopg

from benchmarks.cpu import Worker
from benchmarks.cpu_worker import Sent
from benchmarks.environment import SIGNING_KEY, Bench, bench, cpu_between, machine, server_versions, write_result
from benchmarks.rows import forget_pages, headers

BATCH = 40
DELETED = 3  # a batch: the smallest user has 50 notes
TOUCHED = 20  # the same for all sizes: an edit keeps a version only if none was kept lately
ROUNDS = 9
REFERENCE_NOTES = 50
"""How many notes each user has where the sum of all grows."""


@dataclass
class Owner:
    token: str
    notes: list[int]
    """Ids in the order of the list, the first ones. Reads and edits are of ``TOUCHED`` of them, deletions of others."""
    serial: int = 0

    def next(self) -> int:
        self.serial += 1
        return self.serial


def _unlike_others(owner: Owner) -> str:
    """A search for nothing, written so that no other request of the batch is the same."""
    return f"search={'%20' * (owner.next() % BATCH)}"


def _list(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?{_unlike_others(owner)}", ""


def _deep_page(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?ordering=updated_at&{_unlike_others(owner)}", ""


def _by_status(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?status=published&{_unlike_others(owner)}", ""


def _by_title(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?ordering=title&{_unlike_others(owner)}", ""


def _by_tag(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?tags=python&{_unlike_others(owner)}", ""


def _detail(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/{owner.notes[owner.next() % TOUCHED]}/", ""


def _create(owner: Owner) -> tuple[str, str, str]:
    return "POST", "/api/notes/", json.dumps({"title": f"Note {owner.next()}", "tags": ["python"]})


def _update(owner: Owner) -> tuple[str, str, str]:
    number = owner.next()
    return "PATCH", f"/api/notes/{owner.notes[number % TOUCHED]}/", json.dumps({"title": f"T {number}"})


def _delete(owner: Owner) -> tuple[str, str, str]:
    owner.next()
    return "DELETE", f"/api/notes/{owner.notes.pop()}/", ""


def _filter(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/notes/?search={_sought(owner)}", ""


def _search(owner: Owner) -> tuple[str, str, str]:
    return "GET", f"/api/search/?q={_sought(owner)}", ""


def _sought(owner: Owner) -> str:
    return f"induction{'%20' * (owner.next() % BATCH)}"


OPERATIONS: dict[str, Callable[[Owner], tuple[str, str, str]]] = {
    "list, first page": _list,
    "list, oldest first": _deep_page,
    "list by status": _by_status,
    "list by tag": _by_tag,
    "list by title": _by_title,
    "detail": _detail,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "list, filtered by a word": _filter,
    "search": _search,
}
BATCHES = {"delete": DELETED, "detail": TOUCHED}  # so that no page is asked for twice
STATUSES = {"POST": 201, "DELETE": 204}


def run(*, per_user: Sequence[int], in_all: Sequence[int]) -> dict[str, Any]:
    """Measure users of several sizes side by side, then one size in ever larger tables."""
    document: dict[str, Any] = {"machine": machine()}
    with bench("growth") as this, this.connect() as connection:
        document["machine"] |= server_versions(this)
        worker = Worker(this, "ours", max(os.sched_getaffinity(0)))
        try:
            owners = {size: make_owner(connection, f"grown-{size}@example.com", size) for size in per_user}
            connection.execute("VACUUM (ANALYZE)")
            document["per_user"] = measure(this, worker, owners)
            document["in_all"] = {}
            for total in in_all:
                fill(this, connection, total)
                owner = make_owner(connection, f"among-{total}@example.com", REFERENCE_NOTES)
                connection.execute("VACUUM (ANALYZE)")
                document["in_all"] |= measure(this, worker, {total: owner})
        finally:
            worker.stop()
    for part in ("per_user", "in_all"):
        document[f"{part}_ratios"] = growth_ratios(document[part])
    complete = max(per_user) >= 50_000 and max(in_all) >= 1_000_000
    write_result("growth", document, complete=complete)
    return document


_NOTES = """
WITH note AS (
    INSERT INTO notes_note (user_id, title, title_key, status, tags, version, created_at, updated_at, size_bytes, words)
    SELECT %(user)s, 'Lesson ' || n, key, CASE WHEN n %% 2 = 0 THEN 'published' ELSE 'draft' END,
           ARRAY[tag], 1, moment, moment, 100,
           format('''%%1$s:lesson'':21A ''%%1$s:%%2$s'':22A ''%%1$s:%%3$s'':42A', %(prefix)s::text, n, tag)::tsvector
      FROM unnest(%(keys)s::text[]) WITH ORDINALITY titles (key, n),
           LATERAL (SELECT now() - (n + 10) * interval '7 minutes') m (moment),
           LATERAL (SELECT CASE WHEN n %% 5 = 0 THEN 'python' ELSE 'sql' END) t (tag)
    RETURNING id
), chapter AS (
    INSERT INTO notes_chapter (note_id, title, "order", words)
    SELECT id, 'Part 1', 0, format('''%%1$s:part'':21B ''%%1$s:1'':22B', %(prefix)s::text)::tsvector
    FROM note RETURNING id
)
INSERT INTO notes_topic (chapter_id, title, "order", explanation, code, code_language, sources, words)
SELECT id, 'Topic ' || id, 0, text, '', '', '[]',
       format('''%%1$s:topic'':21B ''%%1$s:%%2$s'':22B', %(prefix)s::text, id)::tsvector
       || (SELECT string_agg(format('''%%s:%%s'':%%sC', %(prefix)s::text, word, 40 + place), ' ')
             FROM string_to_table(text, ' ') WITH ORDINALITY words (word, place))::tsvector
  FROM chapter, LATERAL (SELECT CASE WHEN id %% 50 = 0 THEN 'a proof by induction begins at zero'
                                     ELSE 'a loop repeats its body' END) t (text)
"""


def _title_keys(count: int) -> list[str]:
    from notes.title_order import title_key

    return [title_key(f"Lesson {number}") for number in range(1, count + 1)]


def make_owner(connection: psycopg.Connection[tuple[Any, ...]], email: str, notes: int) -> Owner:
    """A signed-in user with as many notes, each of one chapter with one topic; one in 50 has the word searched for."""
    row = connection.execute(
        "INSERT INTO accounts_user (email, name, password, is_active, is_staff, token_version)"
        " VALUES (%s, '', '!', true, false, 1) RETURNING id",
        [email],
    ).fetchone()
    assert row is not None
    user = row[0]
    session = connection.execute(
        "INSERT INTO accounts_session (user_id, generation, user_agent, expires_at)"
        " VALUES (%s, 1, 'benchmark', now() + interval '30 days') RETURNING id",
        [user],
    ).fetchone()
    assert session is not None
    connection.execute(_NOTES, {"user": user, "notes": notes, "prefix": f"{user:x}", "keys": _title_keys(notes)})
    ids = connection.execute(
        "SELECT id FROM notes_note WHERE user_id = %s ORDER BY updated_at DESC, id DESC LIMIT 1000", [user]
    ).fetchall()
    claims = {"u": user, "v": 1, "s": session[0], "exp": 4_000_000_000}
    return Owner(jwt.encode(claims, SIGNING_KEY, headers={"typ": None}), [row[0] for row in ids])


def fill(this: Bench, connection: psycopg.Connection[tuple[Any, ...]], total: int) -> None:
    """Bring the table of notes to a size by other people's notes."""
    row = connection.execute("SELECT count(*) FROM notes_note").fetchone()
    known = connection.execute("SELECT count(*) FROM accounts_user WHERE email LIKE 'load-%'").fetchone()
    assert row is not None
    assert known is not None
    users = known[0] + max(0, total - row[0]) // 500
    if users > known[0]:
        this.seed_load(f"--users={users}", "--notes=500", "--chapters=0", "--topics=0")


def measure(this: Bench, worker: Worker, owners: dict[int, Owner]) -> dict[str, dict[str, Any]]:
    """Microseconds of application and PostgreSQL per request, by size and operation: the median of shuffled rounds."""
    dice = random.Random(0)
    samples: dict[tuple[int, str], list[dict[str, float]]] = {}
    for number in range(ROUNDS + 1):
        for name in dice.sample(list(OPERATIONS), len(OPERATIONS)):
            for size in dice.sample(list(owners), len(owners)):
                cost = one_batch(this, worker, owners[size], OPERATIONS[name], BATCHES.get(name, BATCH))
                if number:
                    samples.setdefault((size, name), []).append(cost)
    print(f"measured {', '.join(f'{size:,}' for size in owners)}", file=sys.stderr, flush=True)
    return {str(size): {name: median(samples[size, name]) for name in OPERATIONS} for size in owners}


def one_batch(
    this: Bench, worker: Worker, owner: Owner, operation: Callable[[Owner], tuple[str, str, str]], count: int
) -> dict[str, float]:
    sent: list[Sent] = []
    for _ in range(count):
        method, target, body = operation(owner)
        sent.append((method, target, headers(owner.token), body))
    forget_pages(this)
    before = this.postgres_cpu()
    cost = worker.run(sent, STATUSES.get(sent[0][0], 200))
    postgres = cpu_between(before, this.postgres_cpu())
    return {
        "app_us": cost["cpu"] / count * 1e6,
        "postgres_us": postgres / count * 1e6,
        "both_us": (cost["cpu"] + postgres) / count * 1e6,
        "wall_ms": cost["wall"] / count * 1e3,
    }


def median(costs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(cost[name] for cost in costs) for name in costs[0]}


def growth_ratios(sizes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What the largest size costs in terms of the smallest."""
    smallest, largest = (sizes[str(size)] for size in (min(map(int, sizes)), max(map(int, sizes))))
    return {name: largest[name]["both_us"] / smallest[name]["both_us"] for name in OPERATIONS}


def table(document: dict[str, Any], part: str) -> str:
    """Markdown: µs of application and PostgreSQL together by size, and the ratio of the ends."""
    sizes = sorted(document[part], key=int)
    lines = [
        "| | " + " | ".join(f"{int(size):,}" for size in sizes) + " | ratio |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    for name in filter(document[f"{part}_ratios"].__contains__, OPERATIONS):
        cells = [f"{document[part][size][name]['both_us']:.0f}" for size in sizes]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {document[f'{part}_ratios'][name]:.2f} |")
    return "\n".join(lines)
