"""Reads an Anki package's database from standard input and writes its content to standard output as lines of JSON.

The first line is ``{"created": seconds, "decks": {id: name}, "models": {id: {name, is_cloze, fields, templates}}}``.
Each further line is a note: ``{guid, model, fields, tags, cards: [{n, deck, type, queue, due, interval, factor, reps,
lapses, data}]}``. On an unreadable database, the exit status is not 0.

``utils.bounded_process`` runs it in a process of its own, so it imports nothing of the project. The database is
untrusted, and nothing in it may run: only plain tables are read, without views, triggers, functions or writes.
"""

import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import zstandard

DATABASE_MAX = 500 * 1024 * 1024
NOTES_MAX = 50_000
CARDS_OF_NOTE_MAX = 1_000
TEXT_MAX = 64 * 1024 * 1024
"""In characters, over all fields."""
VALUE_MAX = 16 * 1024 * 1024
"""In bytes, of one value, such as the JSON of all models."""
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_WINDOW_MAX = 2**27
_PIECE = 1024 * 1024
_NAME = "collection"
_CARD = "nid, ord, did, type, queue, due, ivl, factor, reps, lapses, odue, odid, data"


class Unreadable(ValueError):
    """The database cannot be read; the message says why."""


def main() -> None:
    unpack()
    # The file is read-only, so SQLite creates no journal.
    database = sqlite3.connect(f"file:{_NAME}?mode=ro&immutable=1", uri=True)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    database.execute("PRAGMA cell_size_check = ON")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_MAX)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    # Anki's tables name this collation; its order does not matter here.
    database.create_collation("unicase", lambda a, b: (a > b) - (a < b))
    database.text_factory = lambda value: value.decode(errors="replace").replace("\0", "")
    tables = plain_tables(database)
    new_schema = "notetypes" in tables
    for name in ("col", "notes", "cards", *(("notetypes", "fields", "templates", "decks") if new_schema else ())):
        if name not in tables:
            raise Unreadable(f"The database has no table {name}.")
    write(new_header(database) if new_schema else old_header(database))
    for note in notes(database):
        write(note)


def unpack() -> None:
    """Write the database to a file in this process's own folder."""
    source = sys.stdin.buffer
    assert isinstance(source, io.BufferedReader)
    with open(_NAME, "wb") as target:
        if source.peek(4).startswith(_ZSTANDARD):
            with zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX).stream_reader(source) as reader:
                copy(reader, target)
        else:
            copy(source, target)


def copy(source: Any, target: Any) -> None:
    size = 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > DATABASE_MAX:
            raise Unreadable("The database is too large.")
        target.write(piece)


def plain_tables(database: sqlite3.Connection) -> set[str]:
    """The names of plain tables. Views, virtual tables and computed columns are excluded: they would run code."""
    found = set()
    for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind == "table" and str(sql).upper().startswith("CREATE TABLE"):
            columns = database.execute("SELECT hidden FROM pragma_table_xinfo(?)", [name])
            if not any(hidden for (hidden,) in columns):
                found.add(str(name))
    return found


def old_header(database: sqlite3.Connection) -> dict[str, Any]:
    """Read schema 11: models and decks are JSON in one row."""
    row = database.execute("SELECT crt, models, decks FROM col").fetchone()
    if row is None:
        raise Unreadable("The database has no collection.")
    models = {
        str(key): {
            "name": str(model["name"]),
            "is_cloze": model.get("type") == 1,
            "fields": [str(field["name"]) for field in sorted(model["flds"], key=lambda field: field["ord"])],
            "templates": {str(one["ord"]): [str(one["qfmt"]), str(one["afmt"])] for one in model["tmpls"]},
        }
        for key, model in json.loads(row[1]).items()
    }
    decks = {str(key): str(deck["name"]) for key, deck in json.loads(row[2]).items()}
    return {"created": whole(row[0]), "models": models, "decks": decks}


def new_header(database: sqlite3.Connection) -> dict[str, Any]:
    """Read schema 15 and later: tables whose ``config`` columns are protocol buffers messages (notetypes.proto)."""
    row = database.execute("SELECT crt FROM col").fetchone()
    if row is None:
        raise Unreadable("The database has no collection.")
    models: dict[str, Any] = {
        str(key): {"name": str(name), "is_cloze": message(config).get(1) == 1, "fields": [], "templates": {}}
        for key, name, config in database.execute("SELECT id, name, config FROM notetypes")
    }
    for key, name in sorted_rows(database, "SELECT ntid, ord, name FROM fields"):
        if key in models:
            models[key]["fields"].append(str(name))
    for key, n, config in database.execute("SELECT ntid, ord, config FROM templates"):
        if str(key) in models:
            values = message(config)
            models[str(key)]["templates"][str(n)] = [text_of(values.get(1)), text_of(values.get(2))]
    decks = {str(key): str(name).replace("\x1f", "::") for key, name in database.execute("SELECT id, name FROM decks")}
    return {"created": whole(row[0]), "models": models, "decks": decks}


def sorted_rows(database: sqlite3.Connection, sql: str) -> list[tuple[str, str]]:
    return [(str(key), name) for key, _, name in sorted(database.execute(sql), key=lambda row: (row[0], row[1]))]


def message(data: Any) -> dict[int, Any]:
    """The fields of a protocol buffers message by number, as integers and bytes; of a repeated field, the last value.

    See https://protobuf.dev/programming-guides/encoding/.
    """
    if not isinstance(data, bytes):
        raise Unreadable("A configuration is not in Anki's format.")
    values: dict[int, Any] = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        match key & 7:
            case 0:
                values[key >> 3], at = varint(data, at)
            case 1:
                at += 8
            case 2:
                size, at = varint(data, at)
                values[key >> 3] = data[at : at + size]
                at += size
            case 5:
                at += 4
            case _:
                raise Unreadable("A configuration is not in Anki's format.")
    return values


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70 and at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise Unreadable("A configuration is not in Anki's format.")


def text_of(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""


def notes(database: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield the notes with their cards, ordered by id."""
    cards = cards_by_note(database)
    group = next(cards, None)
    count = size = 0
    for key, guid, model, tags, fields in database.execute("SELECT id, guid, mid, tags, flds FROM notes ORDER BY id"):
        while group is not None and group[0] < key:
            group = next(cards, None)
        count += 1
        size += len(str(fields)) + len(str(tags))
        if count > NOTES_MAX:
            raise Unreadable(f"The package has more than {NOTES_MAX} notes.")
        if size > TEXT_MAX:
            raise Unreadable(f"The package has more than {TEXT_MAX} characters.")
        yield {
            "guid": str(guid),
            "model": str(model),
            "fields": str(fields).split("\x1f"),
            "tags": str(tags).split(),
            "cards": group[1] if group is not None and group[0] == key else [],
        }


def cards_by_note(database: sqlite3.Connection) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    rows = database.execute(f"SELECT {_CARD} FROM cards ORDER BY nid, ord")
    for note, group in groupby(rows, key=lambda row: row[0]):
        cards = [card(row) for row in group]
        if len(cards) > CARDS_OF_NOTE_MAX:
            raise Unreadable("A note has too many cards.")
        yield whole(note), cards


def card(row: tuple[Any, ...]) -> dict[str, Any]:
    n, deck, kind, queue, due, interval, factor, reps, lapses, original_due, original_deck = map(whole, row[1:12])
    return {
        "n": n,
        # A card in a filtered deck stores the deck that it came from.
        "deck": str(original_deck or deck),
        "type": kind,
        "queue": queue,
        "due": original_due if original_deck and original_due else due,
        "interval": interval,
        "factor": factor,
        "reps": reps,
        "lapses": lapses,
        "data": str(row[12])[:10_000],
    }


def whole(value: Any) -> int:
    if not isinstance(value, int):
        raise Unreadable("A number is invalid.")
    return value


def write(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (Unreadable, sqlite3.Error, zstandard.ZstdError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(str(error)[:300] or type(error).__name__)
