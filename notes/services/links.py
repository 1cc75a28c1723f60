"""The links of topics to notes, stored as rows.

At first a link refers to its target by title; of several notes with that title, to the one changed last. When that note
is renamed, the link stores its id, so no text is rewritten. Topics without links cost no statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import orjson
from django.db import connection

from notes.title_order import key_without_case
from notes.wiki_links import NOTE_LINKS_MAX, WikiLink, links_in

# Not NOT IN: if the links do not fit into ``work_mem``, PostgreSQL would compare each with each other.
_DELETE = """
DELETE FROM notes_notelink AS link WHERE topic_id = ANY(%s::bigint[]) AND NOT EXISTS (
    SELECT FROM unnest(%s::bigint[], %s::text[]) AS found (topic_id, target)
    WHERE found.topic_id = link.topic_id AND found.target = link.target
)
"""
# One text as the parameter: ten thousand links as parameters or objects take ten times as long.
_INSERT = """
INSERT INTO notes_notelink (user_id, topic_id, target, key)
SELECT %s, (link->>0)::bigint, link->>1, link->>2 FROM json_array_elements(%s::json) AS link
ON CONFLICT (topic_id, target) DO NOTHING
"""
# The condition on other notes is the same as in ``titled_by_key``.
_KEEP = """
UPDATE notes_notelink SET meant_id = %s WHERE user_id = %s AND key = %s AND meant_id IS NULL AND NOT EXISTS (
    SELECT FROM notes_note
    WHERE user_id = %s AND title_key >= %s AND title_key < %s AND deleted_at IS NULL AND id <> %s
)
"""


def write_links(*, user_id: int, texts: Mapping[int, str], before: Mapping[int, str] | None = None) -> None:
    """Record the links in the new explanations of one note's topics, given by id: at most two statements.

    ``before`` has the topics' old explanations; None if they are unknown.
    """
    found = _links_of(texts)
    # An earlier release may have found links where this one finds none.
    if before is None or any("[[" in text for text in before.values()):
        with connection.cursor() as cursor:
            topics, targets = [topic_id for topic_id, _ in found], [link.target for _, link in found]
            cursor.execute(_DELETE, [list(texts), topics, targets])
    _insert(user_id, found)


def add_links(*, user_id: int, of_notes: Iterable[Mapping[int, str]]) -> None:
    """Record the links of new topics. ``of_notes`` has the explanations by id for each note. At most one statement."""
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
    """Store the note's id in the links to it, as it is losing this title: one statement.

    Links that refer to another note with the same title are left unchanged.
    """
    key = key_without_case(title)
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [note_id, user_id, key, user_id, key, f"{key}\x04", note_id])
