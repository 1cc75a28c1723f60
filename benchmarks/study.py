"""``python -m benchmarks.study``: what study costs a student with 100,000 cards, among the reviews of many.

In the process, as in part A: CPU of the application, called as a server calls it, and of PostgreSQL, for each request.
Beside them stands "create a note": on a busy machine only the ratio to it says something.
"""

import argparse
import json
import os
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.cpu_worker import Sent, environ_of
from benchmarks.environment import Bench, bench, cpu_between

CARDS = 100_000
ROUNDS = 60

_CARDS = """
INSERT INTO study_card (id, user_id, kind, front, back, tags, block_id, block_text, proposed, suspended, stale, orphan,
                        version, created_at)
SELECT gen_random_uuid(), %(user)s, 'basic', 'Question ' || n, 'Answer ' || n, ARRAY['tag' || n %% 50], '', '', false,
       false, false, false, 1, now() - interval '300 days' + n * interval '1 second'
FROM generate_series(1, %(count)s) n
"""
# A tenth is new, a tenth is due, a few are being learned.
_FACES = """
INSERT INTO study_face (card_id, n, user_id, created_at, active, has_siblings, state, step, stability, difficulty,
                        due_at, reps, lapses, last_day, introduced_at, recalled_at, last_event_at, last_event_id)
SELECT id, 1, user_id, created_at, true, false,
       CASE WHEN r < 0.1 THEN 'new' WHEN r < 0.1005 THEN 'learning' ELSE 'review' END,
       CASE WHEN r BETWEEN 0.1 AND 0.1005 THEN 0 END,
       CASE WHEN r >= 0.1 THEN 1 + 200 * random() END, CASE WHEN r >= 0.1 THEN 1 + 9 * random() END,
       CASE WHEN r >= 0.1 THEN now() + (random() * 10 - 1) * interval '10 days' END,
       CASE WHEN r < 0.1 THEN 0 ELSE 5 END, 0, CASE WHEN r >= 0.1 THEN current_date - 20 END,
       CASE WHEN r >= 0.1 THEN now() - interval '250 days' END, CASE WHEN r >= 0.1 THEN now() - interval '20 days' END,
       CASE WHEN r >= 0.1 THEN now() - interval '20 days' END, CASE WHEN r >= 0.1 THEN gen_random_uuid() END
FROM (SELECT *, random() AS r FROM study_card WHERE user_id = %(user)s) cards
"""
_REVIEWS = """
INSERT INTO study_studyevent (user_id, event_id, card_id, face, kind, rating, reviewed_at, received_at, duration_ms,
                              predicted, settings)
SELECT c.user_id, gen_random_uuid(), c.id, 1, 'review', CASE WHEN random() < 0.1 THEN 'again' ELSE 'good' END,
       now() - n * interval '20 days' - random() * interval '10 days', now(), 4000, 0.9,
       '{"desired_retention": 0.9, "learning_steps": [60, 600], "relearning_steps": [600], "time_zone": "UTC",
         "day_starts_at": "04:00"}'
FROM study_card c CROSS JOIN generate_series(1, %(each)s) n WHERE c.user_id = ANY(%(users)s)
"""


def fill(this: Bench, *, students: int, reviews: int) -> list[int]:
    this.seed_load("--users", str(students), "--notes", "1", "--chapters", "1", "--topics", "1")
    with this.connect() as connection:
        users = [row[0] for row in connection.execute("SELECT id FROM accounts_user ORDER BY id LIMIT %s", [students])]
        for number, user in enumerate(users):
            count = CARDS if number == 0 else 1000
            connection.execute(_CARDS, {"user": user, "count": count})
            connection.execute(_FACES, {"user": user})
        cards = CARDS + 1000 * (students - 1)
        connection.execute(_REVIEWS, {"users": users, "each": max(1, reviews // cards)})
        connection.execute("VACUUM (ANALYZE)")
    return users


def measure(this: Bench, name: str, make: Callable[[], Sent], send: Callable[[Sent], None]) -> dict[str, float]:
    """The median CPU of one request in ms: of the application, and of PostgreSQL."""
    for _ in range(10):
        send(make())
    ours, theirs = [], []
    for _ in range(ROUNDS):
        sent = make()
        before, began = this.postgres_cpu(), time.process_time()
        send(sent)
        ours.append(1000 * (time.process_time() - began))
        theirs.append(1000 * cpu_between(before, this.postgres_cpu()))
    found = {"application": statistics.median(ours), "postgresql": statistics.median(theirs)}
    both = statistics.median(a + b for a, b in zip(ours, theirs, strict=True))
    print(f"| {name} | {found['application']:.2f} | {found['postgresql']:.2f} | {both:.2f} |", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=300)
    parser.add_argument("--reviews", type=int, default=10_000_000)
    parser.add_argument("--plan", type=Path, help="where to write EXPLAIN of what is due, and beside it of the rest")
    options = parser.parse_args()
    with bench("study") as this:
        limits = {"THROTTLE_STUDY": "1000000/min", "THROTTLE_FORECASTS": "1000000/min"}
        os.environ.update(this.environ(**limits, DJANGO_SETTINGS_MODULE="NoteAssist_AI.settings"))
        import django

        django.setup()
        user, *_ = fill(this, students=options.students, reviews=options.reviews)
        run(this, user, options.plan)


def run(this: Bench, user_id: int, plan: Path | None) -> None:
    from django.db import connection
    from django.utils import timezone

    from accounts.models import Session, User
    from accounts.tokens import issue_access
    from NoteAssist_AI.wsgi import application
    from study import memory
    from study.exams import forecast_of
    from study.models import Card
    from study.queue import due_now
    from study.services import create_exam, get_settings
    from study.stats import statistics as statistics_of

    user = User.objects.get(pk=user_id)
    session = Session.objects.create(user=user, expires_at=timezone.now() + timedelta(days=1))
    token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
    headers = {"Authorization": f"Bearer {token}", "Host": "127.0.0.1", "X-Forwarded-Proto": "https"}
    cards = iter(list(Card.objects.filter(user=user).order_by("?").values_list("pk", flat=True)[:20_000]))

    def send(sent: Sent) -> None:
        statuses: list[str] = []
        answer = application(environ_of(*sent), lambda status, headers, error=None: statuses.append(status))
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        assert statuses[0].startswith("2"), body

    def get(path: str) -> Callable[[], Sent]:
        return lambda: ("GET", path, headers, "")

    def cold() -> Sent:
        memory.forget()
        return "GET", "/api/study/due/", headers, ""

    def post(path: str, body: Any) -> Sent:
        return "POST", path, headers, json.dumps(body)

    def reviews(count: int) -> Callable[[], Sent]:
        return lambda: post("/api/study/reviews/", {"reviews": [one() for _ in range(count)]})

    def one() -> dict[str, str]:
        now = timezone.now().isoformat()
        return {"id": str(uuid.uuid4()), "card_id": str(next(cards)), "rating": "good", "reviewed_at": now}

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM study_studyevent")
        print(f"{cursor.fetchone()[0]:,} reviews in all; load average {os.getloadavg()[0]:.1f}\n")
    print("| ms of CPU, median | application | PostgreSQL | both |\n|---|---|---|---|")
    measure(this, "create a note", lambda: post("/api/notes/", {"title": "x"}), send)
    measure(this, "due, 20 cards", get("/api/study/due/"), send)
    measure(this, "due, 20 cards that this process never saw", cold, send)
    measure(this, "due, 1 card", get("/api/study/due/?limit=1"), send)
    measure(this, "due, 100 cards", get("/api/study/due/?limit=100"), send)
    measure(this, "due of a tag", get("/api/study/due/?tag=tag7"), send)
    measure(this, "a review", reviews(1), send)
    measure(this, "100 reviews", reviews(100), send)
    measure(this, "cards, a page", get("/api/study/cards/"), send)
    measure(this, "statistics", get("/api/study/stats/"), send)
    exam = create_exam(
        user_id=user.pk,
        data={
            "title": "Exam",
            "at": timezone.now() + timedelta(days=30),
            "note_ids": [],
            "tags": ["tag7"],
            "minutes_per_day": [30] * 7,
            "target": 0.95,
        },
    )
    measure(this, "forecast, 2,000 cards", get(f"/api/study/exams/{exam.pk}/forecast/"), send)
    measure(this, "plan of today", get(f"/api/study/exams/{exam.pk}/plan/"), send)
    if plan:
        settings, now = get_settings(user_id=user.pk), timezone.now()
        explain(plan, lambda: due_now(settings, now, limit=20))
        explain(plan.with_name("study-stats-plan.txt"), lambda: statistics_of(settings, now, days=30))
        explain(plan.with_name("exam-forecast-plan.txt"), lambda: forecast_of(exam, settings, now))


def explain(path: Path, read: Callable[[], object]) -> None:
    """Write EXPLAIN of each statement that a read runs."""
    from django.db import connection

    statements = []

    def remember(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(remember):
        read()
    plans = []
    with connection.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}", params)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
    path.write_text("\n\n".join(plans) + "\n")


if __name__ == "__main__":
    main()
