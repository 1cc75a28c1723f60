"""Packages that are broken or hostile: they fail as a whole, and nothing of them is written."""

import io
import json
import zipfile
from pathlib import Path

import pytest
import zstandard

from notes.models import Attachment, Note
from study.models import Card, Face, StudyEvent
from tests.files.images import png
from tests.notes.imports.helpers import outcomes, report_of, upload
from tests.study.anki_decks import BASIC, by_hand, note, package, zipped

TABLES = """
CREATE TABLE col (id, crt, models, decks);
INSERT INTO col VALUES (1, 1700000000, '{"1": {"name": "m", "type": 0, "flds": [{"name": "F", "ord": 0}],
  "tmpls": [{"ord": 0, "qfmt": "{{F}}", "afmt": "{{F}}"}]}}', '{"1": {"name": "d"}}');
"""
NOTES = """
CREATE TABLE notes (id integer primary key, guid, mid, tags, flds);
INSERT INTO notes VALUES (1, 'g', 1, '', 'text');
"""
CARDS = """
CREATE TABLE cards (nid, ord, did, type, queue, due, ivl, factor, reps, lapses, odue, odid, data);
INSERT INTO cards VALUES (1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, '');
"""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


@pytest.fixture
def import_nothing(alice, alice_client, files):
    """Import a package that fails; return the error."""

    def run(content: bytes) -> tuple[str, str]:
        job = report_of(alice_client, "deck.apkg", content)
        assert job["status"] == "failed", job
        assert job["report"]["files"] == []
        assert not any(model.objects.exists() for model in (Card, Face, StudyEvent, Note, Attachment))
        assert not [path for path in files.rglob("*") if path.is_file() and "attachments" in path.parts]
        return job["error"]["code"], job["error"]["detail"]

    return run


def test_the_hand_made_package_is_read(alice_client, tmp_path):
    """So that the tests below fail for the reason that they name."""
    job = report_of(alice_client, "deck.apkg", by_hand(tmp_path, TABLES + NOTES + CARDS))

    assert outcomes(job) == [("deck.apkg", "created")]
    assert list(Card.objects.values_list("front", "tags")) == [("text", ["d"])]


@pytest.mark.parametrize(
    "tables",
    [
        "",
        TABLES,
        TABLES + NOTES,
        "CREATE TABLE col (id, crt, models, decks);" + NOTES + CARDS,
        TABLES.replace('"tmpls"', '"other"') + NOTES + CARDS,
        TABLES.replace('"ord": 0, "qfmt"', '"ord": 0, "q"') + NOTES + CARDS,
        TABLES.replace("1700000000", "'soon'") + NOTES + CARDS,
        TABLES.replace('\'{"1": {"name": "m"', '\'{"1": [') + NOTES + CARDS,
        TABLES + NOTES + CARDS.replace("VALUES (1, 0,", "VALUES (1, 'x',"),
        TABLES + NOTES.replace("guid, mid", "mid").replace("'g', ", "") + CARDS,
        TABLES + NOTES.replace("CREATE TABLE notes (id", "CREATE TABLE notes (nid") + CARDS,
    ],
)
def test_a_collection_of_another_shape_is_refused(import_nothing, tmp_path, tables):
    assert import_nothing(by_hand(tmp_path, tables))[0] == "unreadable_archive"


def test_a_note_of_an_unknown_type_fails_the_whole_package(import_nothing, tmp_path):
    deck = package(
        tmp_path,
        [note(BASIC, "fine", "a"), note(BASIC, "q", "a")],
        change=["UPDATE notes SET mid = 5 WHERE id = (SELECT max(id) FROM notes)"],
    )

    assert import_nothing(deck) == (
        "unreadable_archive",
        "The package has notes of an unknown note type.",
    )


@pytest.mark.parametrize(
    "hostile",
    [
        f"CREATE VIEW notes AS {ENDLESS} i AS id, 'g' AS guid, 1 AS mid, '' AS tags, 'x' AS flds FROM n;",
        "CREATE VIRTUAL TABLE notes USING fts5(id, guid, mid, tags, flds);",
        "CREATE TABLE notes (id integer primary key, guid, mid, tags, flds AS (hex(zeroblob(8000000))));"
        "INSERT INTO notes (id, guid, mid, tags) VALUES (1, 'g', 1, '');",
    ],
)
def test_nothing_in_the_database_runs(import_nothing, tmp_path, hostile):
    code, detail = import_nothing(by_hand(tmp_path, TABLES + CARDS + hostile))

    assert code == "unreadable_archive"
    assert "no table notes" in detail


def test_triggers_and_indexes_on_expressions_do_nothing(alice_client, tmp_path):
    extras = """
    CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END;
    CREATE INDEX i ON notes (upper(flds));
    CREATE VIEW v AS SELECT load_extension('x');
    """

    job = report_of(alice_client, "deck.apkg", by_hand(tmp_path, TABLES + NOTES + CARDS + extras))

    assert outcomes(job) == [("deck.apkg", "created")]


@pytest.mark.parametrize("at", [0, 16, 100, 4096, 8192])
def test_a_damaged_database_is_refused(import_nothing, tmp_path, at):
    content = by_hand(tmp_path, TABLES + NOTES + CARDS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        database = bytearray(archive.read("collection.anki2"))
    database[at : at + 60] = b"\xff" * 60

    import_nothing(zipped({"collection.anki2": bytes(database), "media": b"{}"}))


def test_a_cut_database_is_refused(import_nothing, tmp_path):
    content = by_hand(tmp_path, TABLES + NOTES + CARDS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        database = archive.read("collection.anki2")

    import_nothing(zipped({"collection.anki2": database[:5000]}))
    import_nothing(zipped({"collection.anki2": b""}))
    import_nothing(zipped({"collection.anki21b": b"\x28\xb5\x2f\xfd" + b"x" * 100}))


@pytest.mark.parametrize("content", [b"", b"no zip", zipped({"notes.txt": b"x"}), zipped({})])
def test_what_is_no_package_is_refused(import_nothing, content):
    assert import_nothing(content)[0] == "unreadable_archive"


@pytest.mark.parametrize(
    "media",
    [b"[]", b"{", b'{"0": 5}', b'{"0": ["x"]}', *map(zstandard.compress, [b"\x0a\x05\x12\x03abc", b"\x0b"])],
)
def test_a_broken_list_of_media_is_refused(import_nothing, tmp_path, media):
    content = by_hand(tmp_path, TABLES + NOTES + CARDS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        database = archive.read("collection.anki2")

    assert import_nothing(zipped({"collection.anki2": database, "media": media}))[0] == "unreadable_archive"


@pytest.mark.parametrize("name", ["../0", "/etc/0", "a/../../0", "C:/0"])
def test_an_entry_that_leads_out_is_refused(import_nothing, tmp_path, name):
    content = by_hand(tmp_path, TABLES + NOTES + CARDS)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}

    assert import_nothing(zipped({**files, name: png()}))[0] == "unsafe_archive"


def test_names_of_media_are_no_paths(alice, alice_client, tmp_path):
    """What a list of media calls a file is a name only: nothing is read from or written to it."""
    picture = tmp_path / "p.png"
    picture.write_bytes(png())
    deck = package(tmp_path, [note(BASIC, '<img src="../../p.png"> <img src="/etc/passwd">', "a")], media=[picture])
    with zipfile.ZipFile(io.BytesIO(deck)) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    files["media"] = json.dumps({"0": "../../p.png", "1": "/etc/passwd", "../1": "x"}).encode()

    job = report_of(alice_client, "deck.apkg", zipped(files))

    assert job["status"] == "succeeded"
    attachment = Attachment.objects.get()
    assert attachment.name == "_.._p.png"
    assert Card.objects.get().front == f"![../../p.png]({attachment.path})"


def test_a_bomb_is_refused(import_nothing, tmp_path):
    zeros = b"\0" * (120 * 1024 * 1024)

    assert import_nothing(zipped({"collection.anki2": zeros}))[0] == "unsafe_archive"


def test_a_bomb_within_zstandard_is_refused(import_nothing):
    compressor = zstandard.ZstdCompressor().compressobj()
    piece = b"\0" * (8 * 1024 * 1024)
    packed = b"".join([*(compressor.compress(piece) for _ in range(66)), compressor.flush()])

    code, detail = import_nothing(zipped({"collection.anki21b": packed}))

    assert code == "unreadable_archive"
    assert "too large" in detail


def test_too_many_notes_are_refused(import_nothing, tmp_path):
    rows = f"INSERT INTO notes {ENDLESS} i + 1, 'g' || i, 1, '', 'x' FROM n LIMIT 50000;"

    code, detail = import_nothing(by_hand(tmp_path, TABLES + NOTES + CARDS + rows))

    assert code == "unreadable_archive"
    assert "more than 50000 notes" in detail


def test_a_package_that_takes_too_long_is_refused(import_nothing, tmp_path, monkeypatch):
    monkeypatch.setattr("study.anki.importing.SECONDS_MAX", -1)

    code, detail = import_nothing(by_hand(tmp_path, TABLES + NOTES + CARDS))

    assert (code, "takes too long" in detail) == ("unreadable_archive", True)


def test_a_full_account_gets_no_card(alice, alice_client, tmp_path, settings, files):
    settings.NOTES_BYTES_PER_USER = 50
    picture = tmp_path / "p.png"
    picture.write_bytes(png())

    job = report_of(alice_client, "a.apkg", package(tmp_path, [note(BASIC, '<img src="p.png">', "a")], media=[picture]))

    assert outcomes(job) == [("a.apkg", "failed")]
    assert not any(model.objects.exists() for model in (Card, Face, Attachment))
    assert not [path for path in files.rglob("*") if path.is_file() and "attachments" in path.parts]


def test_a_broken_package_among_other_files_fails_alone(alice, alice_client, tmp_path):
    files = {"a.md": b"# A note\n", "broken.apkg": b"x", "deck.apkg": by_hand(tmp_path, TABLES + NOTES + CARDS)}

    job = report_of(alice_client, "all.zip", zipped(files))

    assert (job["status"], outcomes(job)) == (
        "succeeded",
        [("a.md", "created"), ("broken.apkg", "failed"), ("deck.apkg", "created")],
    )


def test_templates_and_texts_that_try_to_take_long(alice_client, tmp_path):
    """Each of these took seconds or more in a first version: time is linear, or the card is left out."""
    marks = ["\\\\(", "<b>", "[latex]", "<!--", "{{#a}}", "[$]", "<ul><li>", "&"]
    change = [
        f"UPDATE notes SET flds = replace(hex(zeroblob(5000)), '00', '{mark}') || char(31) || 'a' "
        f"WHERE id = (SELECT id FROM notes ORDER BY id LIMIT 1 OFFSET {n})"
        for n, mark in enumerate(marks)
    ]
    notes = [note(BASIC, f"q{n}", "a", guid=f"g{n}") for n in range(len(change))]

    job = report_of(alice_client, "a.apkg", package(tmp_path, notes, change=change))

    assert job["status"] == "succeeded"


def test_a_stranger_does_not_learn_of_an_import(alice_client, charlie_client, tmp_path):
    response = upload(alice_client, "deck.apkg", by_hand(tmp_path, TABLES + NOTES + CARDS))

    assert charlie_client.get(response["Location"]).status_code == 404
