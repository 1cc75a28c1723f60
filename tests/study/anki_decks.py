"""Packages as others make them: by genanki, and by hand, down to broken ones."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import genanki

BASIC = genanki.Model(
    1_600_000_001,
    "Basic of a teacher",
    fields=[{"name": "Front"}, {"name": "Back"}],
    templates=[{"name": "Card 1", "qfmt": "{{Front}}", "afmt": "{{FrontSide}}\n\n<hr id=answer>\n\n{{Back}}"}],
)
REVERSED = genanki.Model(
    1_600_000_002,
    "Basic (and reversed card)",
    fields=[{"name": "Front"}, {"name": "Back"}],
    templates=[
        {"name": "Card 1", "qfmt": "{{Front}}", "afmt": "{{FrontSide}}<hr id=answer>{{Back}}"},
        {"name": "Card 2", "qfmt": "{{Back}}", "afmt": "{{FrontSide}}<hr id=answer>{{Front}}"},
    ],
)
CLOZE = genanki.Model(
    1_600_000_003,
    "Cloze",
    fields=[{"name": "Text"}, {"name": "Back Extra"}],
    templates=[{"name": "Cloze", "qfmt": "{{cloze:Text}}", "afmt": "{{cloze:Text}}<br>\n{{Back Extra}}"}],
    model_type=genanki.Model.CLOZE,
)
COUNTRIES = genanki.Model(
    1_600_000_004,
    "Countries",
    fields=[{"name": "Country"}, {"name": "Capital"}, {"name": "Hint"}],
    templates=[
        {
            "name": "Capital",
            "qfmt": "<div class=q>Capital of {{Country}}?</div>{{#Hint}}<i>{{hint:Hint}}</i>{{/Hint}}",
            "afmt": "{{FrontSide}}<hr id=answer>{{Capital}}",
        },
        {"name": "Country", "qfmt": "{{Capital}} lies in?{{type:Country}}", "afmt": "{{Country}} ({{Tags}})"},
    ],
)


def package(
    folder: Path,
    notes: Iterable[genanki.Note],
    *,
    media: Sequence[Path] = (),
    deck: str = "Course::Week 1",
    change: Sequence[str] = (),
) -> bytes:
    """A package by genanki, whose database is then changed by these statements."""
    made = genanki.Deck(1_700_000_001, deck)
    for note in notes:
        made.add_note(note)
    path = folder / "deck.apkg"
    genanki.Package(made, media_files=[str(file) for file in media]).write_to_file(str(path))
    content = path.read_bytes()
    return with_database(folder, content, change) if change else content


def with_database(folder: Path, content: bytes, change: Sequence[str]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    path = folder / "changed.anki2"
    path.write_bytes(files["collection.anki2"])
    database = sqlite3.connect(path)
    for statement in change:
        database.execute(statement)
    database.commit()
    database.close()
    return zipped({**files, "collection.anki2": path.read_bytes()})


def by_hand(folder: Path, tables: str, *, media: Any = None, name: str = "collection.anki2") -> bytes:
    """A package whose database is made by this SQL."""
    path = folder / "hand.anki2"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.executescript(tables)
    database.close()
    return zipped({name: path.read_bytes(), "media": json.dumps(media or {}).encode()})


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def note(model: genanki.Model, *fields: str, **options: Any) -> genanki.Note:
    return genanki.Note(model=model, fields=list(fields), **options)


def warnings_of(job: dict[str, Any]) -> list[str]:
    [file] = job["report"]["files"]
    return file["warnings"]
