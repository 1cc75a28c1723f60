"""``python -m benchmarks.search``: what searches cost a student with 50,000 notes, among a million notes of all.

In the process, as in part A: CPU of the application and of PostgreSQL together, for each search by itself. Words come
as often as in English: the commonest in nearly every note, most in few.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.environment import Bench, bench, cpu_between

NOTES = 50_000
"""Of the student who searches."""
OTHERS = 1_000
"""Students besides, who share the other notes."""
DIFFERENT_TEXTS = 2_000
WORDS_IN_TEXT = 120
ROUNDS = 21

SEARCHES = {
    "a word in 20 notes": "w7000",
    "a word in 500 notes": "w1200",
    "a word in 5,000 notes": "w200",
    "a word in half of the notes": "w20",
    "a word in all notes": "w1",
    "two frequent words": "w3 w20",
    "a frequent and a rare word": "w3 w7000",
    "a phrase of frequent words": '"w3 w5"',
    "a word that is being typed": "w12",
    "nothing": "missing",
    "a frequent word but not another": "w20 -w3",
    "a word with a tag": "w20 tag:tag7",
}

LISTS = {
    "the first page": {},
    "of a status": {"status": "draft"},
    "of a tag": {"tags": ["tag7"]},
    "the trash": {"trash": True},
    "by title": {"ordering": "title"},
}

_NOTES = """
INSERT INTO notes_note (user_id, title, title_key, status, tags, version, created_at, updated_at, deleted_at, words,
                        size_bytes)
SELECT %(user)s, 'Note w' || n %% 400, 'note' || n, CASE WHEN n %% 3 = 0 THEN 'draft' ELSE 'published' END,
       ARRAY['tag' || n %% 50], 1, moment, moment, CASE WHEN n %% 100 = 0 THEN moment END,
       format('''%%1$s:note'':21A ''%%1$s:w%%2$s'':22A ''%%1$s:tag%%3$s'':42A',
              %(prefix)s::text, n %% 400, n %% 50)::tsvector, 1000
FROM (SELECT n, now() - n * interval '1 minute' AS moment FROM generate_series(1, %(count)s) n) numbers
"""
_CHAPTERS = """
INSERT INTO notes_chapter (note_id, title, "order", words)
SELECT id, 'Chapter', 0, (format('''%%s:chapter'':21B', %(prefix)s::text))::tsvector
FROM notes_note WHERE user_id = %(user)s AND title LIKE 'Note w%%'
"""
_TOPICS = """
INSERT INTO notes_topic (chapter_id, title, explanation, code, code_language, sources, "order", words)
SELECT c.id, 'Topic', t.text, '', '', '[]', 0, replace(t.words, '0:', %(prefix)s::text || ':')::tsvector
FROM notes_chapter c JOIN notes_note n ON n.id = c.note_id JOIN bench_text t ON t.id = c.id %% %(texts)s
WHERE n.user_id = %(user)s AND c.title = 'Chapter'
"""


def _texts() -> Iterator[tuple[int, str, str]]:
    """Texts by Zipf's law, and their vectors for a user whose number is 0."""
    from notes.search.vectors import words_of_topic

    chosen = random.Random(1)
    words = [f"w{number}" for number in range(1, 10_001)]
    weights = [1 / number for number in range(1, 10_001)]
    for number in range(DIFFERENT_TEXTS):
        text = " ".join(chosen.choices(words, weights, k=WORDS_IN_TEXT))
        yield number, text, words_of_topic(0, title="Topic", explanation=text, code="")


def fill(this: Bench, *, notes: int) -> int:
    """Insert the notes; return whose the 50,000 are."""
    this.seed_load("--users", str(1 + OTHERS), "--notes", "1", "--chapters", "1", "--topics", "1")
    with this.connect() as connection:
        connection.execute("CREATE UNLOGGED TABLE bench_text (id bigint PRIMARY KEY, text text, words text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO bench_text VALUES (%s, %s, %s)", list(_texts()))
        users = [
            row[0] for row in connection.execute("SELECT id FROM accounts_user ORDER BY id LIMIT %s", [1 + OTHERS])
        ]
        # The student's notes come last in the tables: a statement that reads them from the beginning meets all others.
        for number, user in reversed(list(enumerate(users))):
            count = (notes - NOTES) // OTHERS if number else NOTES
            values = {"user": user, "count": count, "prefix": f"{user:x}", "texts": DIFFERENT_TEXTS}
            if count:
                for statement in (_NOTES, _CHAPTERS, _TOPICS):
                    connection.execute(statement, values)
        connection.execute("VACUUM (ANALYZE)")
    return int(users[0])


def measure(this: Bench, request: Any) -> float:
    """The median CPU of one request in ms: of the application and of PostgreSQL together."""
    found = []
    for _ in range(ROUNDS):
        before, began = this.postgres_cpu(), time.process_time()
        request()
        found.append(1000 * (time.process_time() - began + cpu_between(before, this.postgres_cpu())))
    return statistics.median(found[1:])


def run(this: Bench, user_id: int, plans: Path | None) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    requests = dict(_requests(user_id))
    print("| ms of CPU, median | |\n|---|---|")
    every: dict[str, list[float]] = {}
    for (kind, name), request in requests.items():
        every.setdefault(kind, []).append(measure(this, request))
        print(f"| {kind}: {name} | {every[kind][-1]:.1f} |", flush=True)
    for kind, found in every.items():
        print(f"| {kind}: the median of these | {statistics.median(found):.1f} |")
    if not plans:
        return
    with plans.open("w") as output, connection.cursor() as cursor:
        for (kind, name), request in requests.items():
            with CaptureQueriesContext(connection) as queries:
                request()
            for query in queries.captured_queries:
                cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {query['sql']}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
                output.write(f"## {kind}: {name}\n\n{plan}\n\n")


def _requests(user_id: int) -> Iterator[tuple[tuple[str, str], Callable[[], object]]]:
    from django.http import QueryDict

    from notes import reads
    from notes.search.query import SearchTerms, parse
    from notes.search_serializers import search_results
    from utils.http.pagination import LookAheadCursorPagination

    def listed(filters: dict[str, Any]) -> Callable[[], object]:
        paginator = LookAheadCursorPagination
        return lambda: reads.list_page(paginator(), "/api/notes/", QueryDict(), user_id=user_id, filters=filters)

    def ranked(text: str) -> object:
        query = parse(text)
        return search_results(query, *reads.search(SearchTerms.of(query, user_id=user_id), user_id=user_id))

    for name, filters in LISTS.items():
        yield ("list", name), listed(filters)
    for name, text in SEARCHES.items():
        terms = SearchTerms.parse(text, user_id=user_id)
        yield ("list, filtered by", name), listed({"search": text})
        yield ("search", name), partial(ranked, text)
        yield ("facets", name), partial(reads.facets, terms, user_id=user_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notes", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--plans", type=Path, help="where to write EXPLAIN of each statement")
    options = parser.parse_args()
    with bench("search") as this:
        os.environ.update(this.environ(DJANGO_SETTINGS_MODULE="NoteAssist_AI.settings"))
        import django

        django.setup()
        run(this, fill(this, notes=options.notes), options.plans)


if __name__ == "__main__":
    main()
