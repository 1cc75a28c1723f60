"""The links of topics, kept as rows that say which note is meant.

A link has no note of its own at first: it means the note of that title, of several the one changed last. When that note
is renamed the link keeps it, and nothing is rewritten. Topics without links cost no statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import orjson
from django.db import connection

from notes.title_order import key_without_case
from notes.wiki_links import NOTE_LINKS_MAX, WikiLink, links_in

# Not NOT IN: PostgreSQL compares each link with each other where they are more than fit into its ``work_mem``.
_DELETE = """
DELETE FROM notes_notelink AS link WHERE topic_id = ANY(%s::bigint[]) AND NOT EXISTS (
    SELECT FROM unnest(%s::bigint[], %s::text[]) AS found (topic_id, target)
    WHERE found.topic_id = link.topic_id AND found.target = link.target
)
"""
# From one text: as parameters, or as objects, ten thousand links take ten times as long.
_INSERT = """
INSERT INTO notes_notelink (user_id, topic_id, target, key)
SELECT %s, (link->>0)::bigint, link->>1, link->>2 FROM json_array_elements(%s::json) AS link
ON CONFLICT (topic_id, target) DO NOTHING
"""
# The condition on other notes is that of ``titled_by_key``.
_KEEP = """
UPDATE notes_notelink SET meant_id = %s WHERE user_id = %s AND key = %s AND meant_id IS NULL AND NOT EXISTS (
    SELECT FROM notes_note
    WHERE user_id = %s AND title_key >= %s AND title_key < %s AND deleted_at IS NULL AND id <> %s
)
"""


def write_links(*, user_id: int, texts: Mapping[int, str], before: Mapping[int, str] | None = None) -> None:
    """Record the links of one note's topics, by their ids, whose explanations are these now: at most two statements.

    ``before`` is what the topics said before; None if that is unknown.
    """
    found = _links_of(texts)
    # A release before may have read links where none is read today.
    if before is None or any("[[" in text for text in before.values()):
        with connection.cursor() as cursor:
            topics, targets = [topic_id for topic_id, _ in found], [link.target for _, link in found]
            cursor.execute(_DELETE, [list(texts), topics, targets])
    _insert(user_id, found)


def add_links(*, user_id: int, of_notes: Iterable[Mapping[int, str]]) -> None:
    """Record the links of new topics, given each note's by their ids: at most one statement."""
    _insert(user_id, [found for texts in of_notes for found in _links_of(texts)])


def _links_of(texts: Mapping[int, str]) -> list[tuple[int, WikiLink]]:
    """The links of one note's topics."""
    found = ((topic_id, link) for topic_id, text in texts.items() for link in links_in(text))
    return list(islice(found, NOTE_LINKS_MAX))


def _insert(user_id: int, found: Sequence[tuple[int, WikiLink]]) -> None:
    if found:
        rows = orjson.dumps([(topic_id, link.target, link.key) for topic_id, link in found]).decode()
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [user_id, rows])


def keep_links(*, user_id: int, note_id: int, title: str) -> None:
    """Let the links to a note mean it for good, as it is losing this title: one statement.

    Links that mean another note of the same title are left as they are.
    """
    key = key_without_case(title)
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [note_id, user_id, key, user_id, key, f"{key}\x04", note_id])
