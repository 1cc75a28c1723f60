"""``python -m benchmarks.vectors``: how long a question looks for what is near, among 10,000 passages of a student.

In the process, without the call for the question's vector. Two other students have as many passages each. Each
search is measured for vectors as ``real[]`` and as pgvector's ``vector``.
"""

import argparse
import os
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import Bench, bench

DIMENSION = 1_536
USERS = 3
NOTES = 100
TOPICS = 10
ROUNDS = 21
MODEL = "m"

_VECTORS = """
INSERT INTO ai_tasks_passagevector (user_id, topic_id, hash, model, dimension, vector)
SELECT n.user_id, t.id, md5(t.id || '.' || passage), %(model)s, %(dimension)s,
       (SELECT array_agg((random() - 0.5)::real) FROM generate_series(1, %(dimension)s + 0 * (t.id + passage)))
FROM notes_topic t JOIN notes_chapter c ON c.id = t.chapter_id JOIN notes_note n ON n.id = c.note_id,
     generate_series(1, %(passages)s) passage
"""


def fill(this: Bench, *, passages: int) -> int:
    """Insert notes and vectors; return whose they are to be looked for."""
    this.seed_load("--users", str(USERS), "--notes", str(NOTES), "--chapters", "1", "--topics", str(TOPICS))
    with this.connect() as connection:
        values = {"model": MODEL, "dimension": DIMENSION, "passages": passages // (NOTES * TOPICS)}
        connection.execute(_VECTORS, values)
        row = connection.execute("SELECT user_id FROM ai_tasks_passagevector ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    return int(row[0])


def run(this: Bench, user_id: int, plans: Path | None) -> None:
    from ai_tasks.embeddings.extension import TO_VECTOR

    print("| vectors are kept as | ms, median | fastest |\n|---|---|---|")
    for kind in ("real[]", "vector"):
        with this.connect() as connection:
            began = time.perf_counter()
            connection.execute("CREATE EXTENSION vector" if kind == "real[]" else TO_VECTOR.encode())
            seconds = time.perf_counter() - began
            connection.execute("VACUUM (ANALYZE) ai_tasks_passagevector")
        for scope in ("all notes", "10 notes"):
            search = _search(user_id, scope)
            times = [_milliseconds(search) for _ in range(ROUNDS)][1:]
            print(f"| `{kind}`, {scope} | {statistics.median(times):.0f} | {min(times):.0f} |", flush=True)
            if plans:
                _write_plan(plans, f"{kind}, {scope}", search)
    print(f"Written anew as vectors in {seconds:.0f} s.")


def _search(user_id: int, scope: str) -> Any:
    from ai_tasks.asking.passages import Scope
    from ai_tasks.embedding_rows import PassageVector
    from ai_tasks.embeddings.searching import nearest_to
    from notes.models import Note

    chosen = random.Random(1)
    asked = [chosen.random() - 0.5 for _ in range(DIMENSION)]
    mine = PassageVector.objects.filter(user_id=user_id, model=MODEL, dimension=DIMENSION)
    notes = Note.objects.filter(user_id=user_id).order_by("pk").values_list("pk", flat=True)[:10]
    topics = Scope(user_id, note_ids=tuple(notes) if scope == "10 notes" else ()).topics()
    return lambda: nearest_to(asked, among=mine, topics=topics)


def _milliseconds(search: Any) -> float:
    began = time.perf_counter()
    search()
    return 1000 * (time.perf_counter() - began)


def _write_plan(plans: Path, name: str, search: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        search()
    with plans.open("a") as output, connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {queries[-1]['sql']}")
        output.write(f"## {name}\n\n" + "\n".join(row[0][:200] for row in cursor.fetchall()) + "\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=10_000, help="of each student")
    parser.add_argument("--plans", type=Path, help="where to add EXPLAIN of each search")
    options = parser.parse_args()
    with bench("vectors") as this:
        os.environ.update(this.environ(DJANGO_SETTINGS_MODULE="NoteAssist_AI.settings"))
        import django

        django.setup()
        run(this, fill(this, passages=options.passages), options.plans)


if __name__ == "__main__":
    main()
