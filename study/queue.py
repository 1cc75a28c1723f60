"""The queue of due cards: one SQL statement, for any number of cards."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from study.models import StudySettings
from utils.database.compiled_queries import shown_timestamp

COUNT_MAX = 10_000
"""More learning cards than this are not counted."""

# Each part of the queue is read from its own index, up to the rest of the day's limit. A face is left out while one of
# its siblings comes earlier in the queue.
_QUEUE = """
WITH learning AS (
    SELECT f.id, f.card_id, f.due_at AS at, f.n
    FROM study_face f {card}
    WHERE f.user_id = %(user)s AND f.active AND f.state IN ('learning', 'relearning') AND f.due_at <= %(now)s {filter}
    AND NOT (f.has_siblings AND EXISTS (
        SELECT 1 FROM study_face s WHERE s.card_id = f.card_id AND s.n <> f.n
        AND s.state IN ('learning', 'relearning') AND (s.due_at, s.n) < (f.due_at, f.n)
    ))
    ORDER BY f.due_at, f.card_id LIMIT %(count_max)s
), review AS (
    SELECT f.id, f.card_id, f.due_at AS at, f.n
    FROM study_face f {card}
    WHERE f.user_id = %(user)s AND f.active AND f.state = 'review' AND f.due_at <= %(now)s {filter}
    AND NOT (f.has_siblings AND (coalesce(f.buried_until > %(now)s, false) OR EXISTS (
        SELECT 1 FROM study_face s WHERE s.card_id = f.card_id AND s.n <> f.n AND s.due_at <= %(now)s
        AND (s.state IN ('learning', 'relearning') OR s.state = 'review'
             AND NOT coalesce(s.buried_until > %(now)s, false) AND (s.due_at, s.n) < (f.due_at, f.n))
    )))
    ORDER BY f.due_at, f.card_id LIMIT greatest(0, %(reviews)s - (
        SELECT count(*) FROM (
            SELECT FROM study_face d
            WHERE d.user_id = %(user)s AND d.recalled_at >= %(day_start)s AND d.recalled_at <= %(now)s
            LIMIT %(reviews)s
        ) done
    ))
), fresh AS (
    SELECT f.id, f.card_id, f.created_at AS at, f.n
    FROM study_face f {card}
    WHERE f.user_id = %(user)s AND f.active AND f.state = 'new' {filter}
    AND NOT (f.has_siblings AND (coalesce(f.buried_until > %(now)s, false) OR EXISTS (
        SELECT 1 FROM study_face s WHERE s.card_id = f.card_id AND s.n <> f.n
        AND (s.state <> 'new' AND s.due_at <= %(now)s
             OR s.state = 'new' AND NOT coalesce(s.buried_until > %(now)s, false) AND s.n < f.n)
    )))
    ORDER BY f.created_at, f.card_id, f.n LIMIT greatest(0, %(new)s - (
        SELECT count(*) FROM (
            SELECT FROM study_face d
            WHERE d.user_id = %(user)s AND d.introduced_at >= %(day_start)s AND d.introduced_at <= %(now)s
            LIMIT %(new)s
        ) done
    ))
), shown AS (
    SELECT q.id, row_number() OVER (ORDER BY q.part, q.at, q.card_id, q.n) AS place FROM (
        SELECT 1 AS part, * FROM learning UNION ALL SELECT 2, * FROM review UNION ALL SELECT 3, * FROM fresh
    ) q ORDER BY q.part, q.at, q.card_id, q.n LIMIT %(limit)s
)
SELECT counts.*, d.n, {card_columns}, {face_columns}
FROM (SELECT (SELECT count(*) FROM fresh), (SELECT count(*) FROM learning), (SELECT count(*) FROM review)) counts
LEFT JOIN (shown JOIN study_face d USING (id) JOIN study_card c ON c.id = d.card_id
           JOIN study_face f ON f.card_id = c.id) ON true
ORDER BY shown.place, f.n
"""
_BY_CARD = "JOIN study_card k ON k.id = f.card_id"
_IN_NOTE = """AND k.topic_id IN (
    SELECT t.id FROM notes_topic t JOIN notes_chapter h ON h.id = t.chapter_id JOIN notes_note o ON o.id = h.note_id
    WHERE o.id = %(note)s AND o.user_id = %(user)s AND o.deleted_at IS NULL
)"""
_TAGGED = "AND k.tags @> ARRAY[%(tag)s]::varchar[]"


class CardRow(NamedTuple):
    """The fields of a card that the API shows. Timestamps of cards and faces are in the API's format."""

    id: UUID
    kind: str
    front: str
    back: str
    topic_id: int | None
    block_id: str
    tags: list[str]
    proposed: bool
    suspended: bool
    stale: bool
    orphan: bool
    replaces: UUID | None
    version: int
    created_at: str


class FaceRow(NamedTuple):
    """The fields of a face that the API shows or that affect the next intervals."""

    n: int
    state: str
    step: int | None
    stability: float | None
    difficulty: float | None
    reps: int
    lapses: int
    last_day: date | None
    due_at: str | None
    buried_until: str | None


class DueFace(NamedTuple):
    """A face to ask, its card, and all faces of the card."""

    n: int
    card: CardRow
    faces: list[FaceRow]

    @property
    def face(self) -> FaceRow:
        return next(face for face in self.faces if face.n == self.n)


class Queue(NamedTuple):
    """The counts left for today, and the first cards of the queue in order."""

    new: int
    learning: int
    review: int
    faces: list[DueFace]


def statement_of(
    settings: StudySettings, now: datetime, *, limit: int, note: int | None = None, tag: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The SQL of :func:`due_now`, and its parameters."""
    terms = settings.terms
    condition = (_IN_NOTE if note is not None else "") + (_TAGGED if tag is not None else "")
    sql = _QUEUE.format(
        card=_BY_CARD if condition else "",
        filter=condition,
        card_columns=", ".join(f"c.{name}" for name in CardRow._fields),
        face_columns=", ".join(f"f.{name}" for name in FaceRow._fields),
    )
    values: dict[str, Any] = {
        "user": settings.user_id,
        "now": now,
        "day_start": terms.start_of(terms.day_of(now)),
        "new": settings.new_per_day,
        "reviews": settings.reviews_per_day,
        "count_max": COUNT_MAX,
        "limit": limit,
        "note": note,
        "tag": tag,
    }
    return sql, values


def due_now(
    settings: StudySettings, now: datetime, *, limit: int, note: int | None = None, tag: str | None = None
) -> Queue:
    """What is due now: learning faces, then reviews, each by ``due_at``, then new ones by creation.

    The counts respect the daily limits, which apply to all cards together, but not ``limit``. One query.
    """
    sql, values = statement_of(settings, now, limit=limit, note=note, tag=tag)
    rows = connection.fetch(sql, values)  # type: ignore[attr-defined]  # our backend's
    new, learning, review = rows[0][:3]
    due: dict[UUID, DueFace] = {}
    width = len(CardRow._fields)
    for _, _, _, n, card_id, *columns in rows:
        if n is None:
            break
        if card_id not in due:
            *shown, created_at = columns[: width - 1]
            due[card_id] = DueFace(n, CardRow._make([card_id, *shown, shown_timestamp(created_at)]), [])
        *shown, due_at, buried_until = columns[width - 1 :]
        due[card_id].faces.append(FaceRow._make([*shown, shown_timestamp(due_at), shown_timestamp(buried_until)]))
    return Queue(new, learning, review, list(due.values()))
