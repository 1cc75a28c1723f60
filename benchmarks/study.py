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
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.cpu_worker import Sent, environ_of
from benchmarks.environment import Bench, bench, cpu_between

CARDS, CARDS_OF_OTHERS = 100_000, 1000
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


def fill(this: Bench, *, students: int, cards: int, reviews: int) -> list[int]:
    this.seed_load("--users", str(students), "--notes", "1", "--chapters", "1", "--topics", "1")
    with this.connect() as connection:
        users = [row[0] for row in connection.execute("SELECT id FROM accounts_user ORDER BY id LIMIT %s", [students])]
        for number, user in enumerate(users):
            count = cards if number == 0 else CARDS_OF_OTHERS
            connection.execute(_CARDS, {"user": user, "count": count})
            connection.execute(_FACES, {"user": user})
        in_all = cards + CARDS_OF_OTHERS * (students - 1)
        connection.execute(_REVIEWS, {"users": users, "each": max(1, reviews // in_all)})
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
    parser.add_argument("--cards", type=int, default=CARDS, help="of the student who is measured")
    parser.add_argument("--reviews", type=int, default=10_000_000)
    parser.add_argument("--plan", type=Path, help="where to write EXPLAIN of what is due, and beside it of the rest")
    options = parser.parse_args()
    with bench("study") as this:
        limits = {"THROTTLE_STUDY": "1000000/min", "THROTTLE_FORECASTS": "1000000/min"}
        os.environ.update(this.environ(**limits, DJANGO_SETTINGS_MODULE="NoteAssist_AI.settings"))
        import django

        django.setup()
        user, *_ = fill(this, students=options.students, cards=options.cards, reviews=options.reviews)
        run(this, user, options.plan)


class Requests:
    """A student's requests, sent to the application in this process."""

    def __init__(self, user_id: int) -> None:
        from django.utils import timezone

        from accounts.models import Session, User
        from accounts.tokens import issue_access
        from NoteAssist_AI.wsgi import application
        from study.models import Card

        self._application, self._now = application, timezone.now
        user = User.objects.get(pk=user_id)
        session = Session.objects.create(user=user, expires_at=timezone.now() + timedelta(days=1))
        token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
        self._headers = {"Authorization": f"Bearer {token}", "Host": "127.0.0.1", "X-Forwarded-Proto": "https"}
        cards = Card.objects.filter(user=user).order_by("?").values_list("pk", flat=True)
        self._cards = cycle(list(cards[:20_000]))

    def send(self, sent: Sent) -> None:
        statuses: list[str] = []
        answer = self._application(environ_of(*sent), lambda status, headers, error=None: statuses.append(status))
        body = b"".join(answer)
        getattr(answer, "close", lambda: None)()
        assert statuses[0].startswith("2"), body

    def get(self, path: str) -> Callable[[], Sent]:
        return lambda: ("GET", path, self._headers, "")

    def post(self, path: str, body: Callable[[], Any]) -> Callable[[], Sent]:
        return lambda: ("POST", path, self._headers, json.dumps(body()))

    def reviews(self, count: int) -> Callable[[], Sent]:
        return self.post("/api/study/reviews/", lambda: {"reviews": [self._review() for _ in range(count)]})

    def _review(self) -> dict[str, str]:
        now = self._now().isoformat()
        return {"id": str(uuid.uuid4()), "card_id": str(next(self._cards)), "rating": "good", "reviewed_at": now}


def run(this: Bench, user_id: int, plan: Path | None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM study_studyevent")
        print(f"{cursor.fetchone()[0]:,} reviews in all; load average {os.getloadavg()[0]:.1f}\n")
    exam = make_exam(user_id)
    measure_all(this, Requests(user_id), exam.pk)
    if plan:
        explain_all(plan, exam)


def make_exam(user_id: int) -> Any:
    """An exam about a fiftieth of the student's cards."""
    from django.utils import timezone

    from study.services import create_exam

    at = timezone.now() + timedelta(days=30)
    scope = {"note_ids": [], "tags": ["tag7"]}
    data = {"title": "Exam", "at": at, **scope, "minutes_per_day": [30] * 7, "target": 0.95}
    return create_exam(user_id=user_id, data=data)


def measure_all(this: Bench, requests: Requests, exam_id: uuid.UUID) -> None:
    from study import memory

    get = requests.get

    def cold() -> Sent:
        memory.forget()
        return get("/api/study/due/")()

    print("| ms of CPU, median | application | PostgreSQL | both |\n|---|---|---|---|")
    for name, make in (
        ("create a note", requests.post("/api/notes/", lambda: {"title": "x"})),
        ("due, 20 cards", get("/api/study/due/")),
        ("due, 20 cards that this process never saw", cold),
        ("due, 1 card", get("/api/study/due/?limit=1")),
        ("due, 100 cards", get("/api/study/due/?limit=100")),
        ("due of a tag", get("/api/study/due/?tag=tag7")),
        ("a review", requests.reviews(1)),
        ("100 reviews", requests.reviews(100)),
        ("create a card", requests.post("/api/study/cards/", lambda: {"front": "q", "back": "a"})),
        ("cards, a page", get("/api/study/cards/")),
        ("statistics", get("/api/study/stats/")),
        ("forecast, 2,000 cards", get(f"/api/study/exams/{exam_id}/forecast/")),
        ("plan of today", get(f"/api/study/exams/{exam_id}/plan/")),
    ):
        measure(this, name, make, requests.send)


def explain_all(plan: Path, exam: Any) -> None:
    """Write the plans of what is due, and beside it those of statistics and of a forecast."""
    from django.utils import timezone

    from study.exams import forecast_of
    from study.queue import due_now
    from study.services import get_settings
    from study.stats import statistics as statistics_of

    settings, now = get_settings(user_id=exam.user_id), timezone.now()
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
