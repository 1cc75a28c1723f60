"""What must hold after the faults, asked of the database with SQL of our own and of what the clients were told."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg.rows import dict_row

from notes.snapshots import patched
from tests.faults.history import MAY_FOLLOW, TERMINAL, Answer, History, clock, regressions
from tests.faults.operators import Fault
from tests.faults.plan import SLOWEST_ANSWER_SECONDS, Plan

WATCH_TRANSITIONS = """
CREATE TABLE faults_transition (
    number bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), task_id uuid NOT NULL,
    old_status text, status text NOT NULL, old_attempt int, attempt int NOT NULL, applied boolean NOT NULL
);
CREATE FUNCTION faults_watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO faults_transition (task_id, status, attempt, applied)
        VALUES (NEW.id, NEW.status, NEW.attempt, NEW.applied_at IS NOT NULL);
    ELSIF (NEW.status, NEW.attempt, NEW.applied_at) IS DISTINCT FROM (OLD.status, OLD.attempt, OLD.applied_at) THEN
        INSERT INTO faults_transition (task_id, old_status, status, old_attempt, attempt, applied)
        VALUES (NEW.id, OLD.status, NEW.status, OLD.attempt, NEW.attempt,
                NEW.applied_at IS DISTINCT FROM OLD.applied_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER faults_watch AFTER INSERT OR UPDATE ON ai_tasks_aitask FOR EACH ROW EXECUTE FUNCTION faults_watch();
"""
"""A record of every transition that was committed, kept by the database itself."""

ALLOWED_CODES = {
    "submit": {202, 200},
    "submit again": {202, 200},
    "submit with key": {202, 200, 409},
    "cancel": {202, 409},
    "retry": {202, 409},
    "poll": {200},
    "pending": {200},
    "list": {200},
}
POSTGRES_RETURN_SECONDS = 4.0
"""How long after its return requests may still be told to come again."""
WEB_RETURN_SECONDS = 2.0


@dataclass
class Findings:
    """``problems``: what does not hold, each with the history of the task that it is about. ``figures``: what does."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)


class Checker:
    """Compares the database with the clients' history."""

    def __init__(self, connection: psycopg.Connection, history: History, faults: list[Fault], sizes: Plan) -> None:
        self.findings = Findings()
        self._history, self._faults, self._sizes = history, faults, sizes
        self._rows = connection.cursor(row_factory=dict_row)
        self._tasks = {str(task["id"]): task for task in self._all("SELECT * FROM ai_tasks_aitask")}
        self._told = history.by_task()
        self._committed: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for transition in self._all("SELECT * FROM faults_transition ORDER BY number"):
            self._committed[str(transition["task_id"])].append(transition)

    def run(self) -> Findings:
        for check in (
            self._nothing_is_lost,
            self._transitions_are_allowed,
            self._effects_are_single,
            self._notifications_are_single,
            self._keys_have_one_task,
            self._clients_saw_no_regression,
            self._answers_are_as_promised,
        ):
            check()
        return self.findings

    def _all(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        return self._rows.execute(sql, parameters).fetchall()

    def _problem(self, text: str, task_id: str = "") -> None:
        self.findings.problems.append(f"{text}\n{self.story_of(task_id)}" if task_id else text)

    def story_of(self, task_id: str) -> str:
        """Everything known about a task, by time."""
        lines = [(answer.began, f"  {answer}") for answer in self._told.get(task_id, [])]
        for step in self._committed.get(task_id, []):
            at = step["at"].timestamp()
            change = f"{step['old_status']} ({step['old_attempt']}) → {step['status']} ({step['attempt']})"
            lines.append((at, f"  {clock(at)} committed: {change}{' applied' if step['applied'] else ''}"))
        if lines:
            first, last = min(lines)[0], max(lines)[0]
            lines += [(each.began, f"  {each}") for each in self._faults if first - 1 < each.began < last + 1]
        row = self._tasks.get(task_id)
        shown = {name: str(value)[:80] for name, value in row.items()} if row else "there is no row"
        return "\n".join([f"Task {task_id}:", *(line for _, line in sorted(lines)), f"  row: {shown}"])

    # --- Checks ---

    def _nothing_is_lost(self) -> None:
        for task_id in self._history.accepted:
            if task_id not in self._tasks:
                self._problem("An accepted task has no row.", task_id)
        for task_id, task in self._tasks.items():
            if task["status"] not in TERMINAL:
                self._problem("A task has not ended.", task_id)
        statuses = Counter(task["status"] for task in self._tasks.values())
        errors = Counter(task["error_code"] for task in self._tasks.values() if task["error_code"])
        self.findings.figures |= {
            "tasks": len(self._tasks),
            "accepted": len(self._history.accepted),
            "ended": dict(statuses),
            "failed by": dict(errors),
            "cached": sum(task["cached"] for task in self._tasks.values()),
            "attempts": sum(task["attempt"] for task in self._tasks.values()),
            "lost leases": sum(task["lost_leases"] for task in self._tasks.values()),
            "provider failures": sum(task["provider_failures"] for task in self._tasks.values()),
        }

    def _transitions_are_allowed(self) -> None:
        for task_id, steps in self._committed.items():
            for step in steps:
                if step["old_status"] is None:
                    continue
                moved = step["status"] != step["old_status"] or step["attempt"] != step["old_attempt"]
                allowed = step["status"] in MAY_FOLLOW[step["old_status"]]
                claimed = step["attempt"] == step["old_attempt"] + 1 and step["status"] == "running"
                fenced = step["attempt"] == step["old_attempt"] and step["status"] != "running"
                if moved and not (allowed and (claimed or fenced)):
                    self._problem("A transition that may not be.", task_id)
            if sum(step["status"] in TERMINAL for step in steps) != 1:
                self._problem("A task ended other than once.", task_id)
        self.findings.figures["transitions"] = sum(len(steps) for steps in self._committed.values())

    def _effects_are_single(self) -> None:
        """Every answer that was applied changed its topic once, and nothing else did.

        A note's versions tell the texts that its topic had, in order. Each step from one to the next must be what one
        applied task did: it replaced the text whose hash it names by its own answer.
        """
        applied: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for task_id, task in self._tasks.items():
            if task["applied_at"] is not None:
                applied[task["topic_id"]].append(task)
                if task["status"] != "succeeded" or not task["apply"]:
                    self._problem("A task was applied that should not be.", task_id)
        texts = self._texts_of_topics()
        for topic_id, sequence in texts.items():
            done = Counter((task["source_hash"], task["result"]["content"]) for task in applied[topic_id])
            seen = Counter((text_hash(before), after) for before, after in pairwise(sequence))
            if done != seen:
                self._problem(f"Topic {topic_id} was changed {seen.total()} times by {done.total()} applied tasks.")
                missing = done - seen
                for task in applied[topic_id]:
                    if missing[task["source_hash"], task["result"]["content"]]:
                        self._problem("It is missing from the topic's history.", str(task["id"]))
        wrong = self._all(
            "SELECT note.id, version, kept.count FROM notes_note note CROSS JOIN LATERAL (SELECT count(*) FROM"
            " notes_noteversion WHERE note_id = note.id AND reason = 'ai') kept WHERE version <> 1 + kept.count"
        )
        for note in wrong:
            self._problem(f"Note {note['id']} has version {note['version']} and {note['count']} versions kept.")
        self.findings.figures["applied answers"] = sum(len(tasks) for tasks in applied.values())
        not_applied = [
            t for t in self._tasks.values() if t["apply"] and t["status"] == "succeeded" and not t["applied_at"]
        ]
        self.findings.figures["answers to a text that had changed"] = len(not_applied)

    def _texts_of_topics(self) -> dict[int, list[str]]:
        """The texts that each topic had, the first one first; each note has one topic."""
        texts: dict[int, list[str]] = defaultdict(list)
        kept = {row["id"]: row for row in self._all("SELECT id, base, content FROM notes_kepttopic")}
        for row in self._all("SELECT snapshot FROM notes_noteversion WHERE reason = 'ai' ORDER BY note_id, version"):
            topic = row["snapshot"]["contents"][0]["topics"][0]
            text = kept[topic["kept"]]["content"]["explanation"]
            if isinstance(text, list):
                text = patched(kept[kept[topic["kept"]]["base"]]["content"]["explanation"], text)
            texts[topic["id"]].append(text)
        for topic in self._all("SELECT id, explanation FROM notes_topic"):
            texts[topic["id"]].append(topic["explanation"])
        return texts

    def _notifications_are_single(self) -> None:
        rows = self._all("SELECT id, user_id, action_id, notified_at FROM notifications_notification")
        found = defaultdict(list)
        for row in rows:
            found[row["action_id"]].append(row)
        for task_id, task in self._tasks.items():
            expected = 1 if task["status"] in ("succeeded", "failed") and not task["cached"] else 0
            if len(found[task_id]) != expected:
                self._problem(f"{len(found[task_id])} notifications instead of {expected}.", task_id)
            elif expected and found[task_id][0]["id"] != uuid5(UUID(task_id), "notification"):
                self._problem("A notification with another id.", task_id)
            elif expected and found[task_id][0]["notified_at"] is None:
                self._problem("A notification that was never pushed.", task_id)
        if strangers := set(found) - set(self._tasks) - {""}:
            self._problem(f"Notifications of no task: {strangers}")
        self.findings.figures["notifications"] = len(rows)

    def check_pending(self, shown: dict[str, list[str]]) -> None:
        """``shown``: the ids that each user's pending list has, by email."""
        rows = self._all(
            "SELECT email, array_agg(n.id::text ORDER BY n.created_at DESC, n.id DESC) AS ids FROM accounts_user u"
            " LEFT JOIN notifications_notification n ON n.user_id = u.id WHERE n.id IS NOT NULL GROUP BY email"
        )
        expected = {row["email"]: row["ids"][:100] for row in rows}
        for email, ids in shown.items():
            if len(ids) != len(set(ids)):
                self._problem(f"Pending notifications of {email} are doubled: {ids}")
            if set(ids) != set(expected.get(email, [])):
                odd = set(ids) ^ set(expected.get(email, []))
                self._problem(f"Pending notifications of {email} differ from the table's: {odd}")

    def _keys_have_one_task(self) -> None:
        for (_, key), task_ids in self._history.keyed.items():
            if len(task_ids) > 1:
                self._problem(f"The key {key!r} was answered with {task_ids}.", min(task_ids))
        records = self._all(
            "SELECT key, user_id, count(*), array_agg(convert_from(body, 'UTF8')::json->>'task_id') AS ids"
            " FROM utils_idempotencyrecord GROUP BY key, user_id HAVING count(*) > 1"
        )
        for record in records:
            self._problem(f"The key {record['key']!r} has {record['count']} records: {record['ids']}")
        self.findings.figures["idempotency keys"] = len(self._history.keyed)
        self.findings.figures["replayed answers"] = sum(answer.replayed for answer in self._history.answers)

    def _clients_saw_no_regression(self) -> None:
        for task_id, told in self._told.items():
            if found := regressions(told):
                earlier, later = found[0]
                self._problem(f"A client was told first\n  {earlier}\nand then\n  {later}", task_id)
        self.findings.figures["answers about a task's state"] = sum(a.tells_state for a in self._history.answers)

    def _answers_are_as_promised(self) -> None:
        """Only a dead web server leaves a request unanswered, and only a dead PostgreSQL refuses one."""
        slack = self._sizes.slack
        slowest = SLOWEST_ANSWER_SECONDS + slack
        slow: list[Answer] = []
        served: list[float] = []
        without_redis: list[float] = []
        for answer in self._history.answers:
            web = was_away(self._faults, "web", answer, WEB_RETURN_SECONDS + slack)
            postgres = was_away(self._faults, "postgres", answer, POSTGRES_RETURN_SECONDS + slack)
            allowed = ALLOWED_CODES[answer.action] | ({0} if web else set()) | ({503} if postgres else set())
            if answer.code not in allowed:
                self._problem(f"An answer that may not be: {answer}", answer.task_id)
            seconds = answer.ended - answer.began
            if not (web or postgres):
                served.append(seconds)
                if seconds > slowest:
                    slow.append(answer)
                if was_away(self._faults, "redis", answer, 0):
                    without_redis.append(seconds)
        self.findings.figures |= {
            "requests": len(self._history.answers),
            "answers by status": dict(sorted(Counter(answer.code for answer in self._history.answers).items())),
            "requests while web server and PostgreSQL were there": percentiles(served),
            "of these, while Redis was away": percentiles(without_redis),
        }
        for answer in slow:
            self._problem(f"A request took more than {slowest:.0f} s: {answer}")


def was_away(faults: Iterable[Fault], target: str, answer: Answer, return_seconds: float) -> bool:
    """Whether the target was away during a request, or if it has no answer, since its connection last gave one."""
    began = answer.began if answer.code else answer.connected
    return any(
        began <= fault.ended + return_seconds and answer.ended >= fault.began
        for fault in faults
        if fault.target == target
    )


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def percentiles(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    shown = {f"p{share}": ordered[len(ordered) * share // 100] for share in (50, 95, 99)} | {"slowest": ordered[-1]}
    return f"{len(ordered)}: " + ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in shown.items())
