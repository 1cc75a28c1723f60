"""SQL statements for recording reviews, with fixed texts, so that each connection plans them once.

The ORM would generate the SQL for each request, which takes longer than running it. Rows are passed to PostgreSQL as
one JSON document, which keeps numbers exact.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Model

from study.models import SCHEDULE_WRITTEN, Card, Face, StudyEvent, StudySettings


class CardWithFaces(NamedTuple):
    card: Card
    faces: list[Face]


def _columns(model: type[Model], *left_out: str) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields if field.attname not in left_out]


def _listed(columns: Iterable[str], table: str = "") -> str:
    return ", ".join(table + column for column in columns)


_SETTINGS = _columns(StudySettings)
_CARD = _columns(Card, "search", "block_text")
_FACE = _columns(Face)
_EVENT = _columns(StudyEvent, "id")
_KNOWN = _columns(StudyEvent, "settings", "data")
_SCHEDULE = ("id", *SCHEDULE_WRITTEN)

_LOCK_SETTINGS = f"SELECT {_listed(_SETTINGS)} FROM study_studysettings WHERE user_id = %s FOR NO KEY UPDATE"
_LOCK_CARDS = f"""
SELECT {_listed(_CARD, "c.")}, {_listed(_FACE, "f.")} FROM study_card c JOIN study_face f ON f.card_id = c.id
WHERE c.user_id = %s AND c.id = ANY(%s) ORDER BY c.id, f.n FOR NO KEY UPDATE OF c
"""
_EVENTS = f"SELECT {_listed(_KNOWN)} FROM study_studyevent WHERE user_id = %s AND event_id = ANY(%s)"
_RECORD = f"""
WITH logged AS (
    INSERT INTO study_studyevent ({_listed(_EVENT)})
    SELECT {_listed(_EVENT)} FROM json_populate_recordset(NULL::study_studyevent, %s::json)
), scheduled AS (
    UPDATE study_face f SET ({_listed(SCHEDULE_WRITTEN)}) = ROW({_listed(SCHEDULE_WRITTEN, "v.")})
    FROM json_populate_recordset(NULL::study_face, %s::json) v WHERE f.id = v.id AND f.card_id = ANY(%s)
)
UPDATE study_card SET version = version + 1 WHERE id = ANY(%s)
"""


def lock_settings(user_id: int) -> StudySettings | None:
    rows = _run(_LOCK_SETTINGS, [user_id])
    return StudySettings.from_db("default", _SETTINGS, rows[0]) if rows else None


def lock_cards(user_id: int, card_ids: Iterable[UUID]) -> dict[UUID, CardWithFaces]:
    """The user's cards among these ids, locked in the order of ids, with their faces in order."""
    found: dict[UUID, CardWithFaces] = {}
    sql, ids = _for(_LOCK_CARDS, card_ids)
    for row in _run(sql, [user_id, ids]):
        card_id = row[0]
        if card_id not in found:
            found[card_id] = CardWithFaces(Card.from_db("default", _CARD, row[: len(_CARD)]), [])
        found[card_id].faces.append(Face.from_db("default", _FACE, row[len(_CARD) :]))
    return found


def events(user_id: int, event_ids: Sequence[UUID]) -> list[StudyEvent]:
    """The user's log entries with these ids, without ``settings`` and ``data``."""
    sql, ids = _for(_EVENTS, event_ids)
    return [StudyEvent.from_db("default", _KNOWN, row) for row in _run(sql, [user_id, ids])]


def record(events: Iterable[StudyEvent], faces: Iterable[Face], card_ids: Collection[UUID]) -> None:
    """Add log entries, write the faces of these cards that exist, and increase the cards' versions."""
    sql, ids = _for(_RECORD, card_ids)
    with connection.cursor() as cursor:
        cursor.execute(sql, [_json(events, _EVENT), _json(faces, _SCHEDULE), ids, ids])


def _for(sql: str, ids: Iterable[UUID]) -> tuple[str, Any]:
    """The SQL and its parameter for these ids.

    For an array, PostgreSQL considers its length and plans the statement each time, which takes longer than running it
    for one row. So a single id, the usual case, is passed as a scalar.
    """
    ids = list(ids)
    return (sql.replace("= ANY(%s)", "= %s"), ids[0]) if len(ids) == 1 else (sql, ids)


def _run(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _json(rows: Iterable[Model], names: Collection[str]) -> str:
    return orjson.dumps([{name: getattr(row, name) for name in names} for row in rows]).decode()
