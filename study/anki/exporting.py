"""Exports cards as an Anki package. A later package updates the same cards in Anki and keeps their progress there.

A note's ``guid`` is its card's id, and the ids of the note types and the deck never change. So Anki recognises its
cards, takes the new texts and keeps its own schedules. Our schedules apply only to cards that Anki does not have yet.
"""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import genanki
import orjson
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Length

from study.anki.fields import to_field
from study.anki.media import OutgoingMedia
from study.anki.schedules import row_of
from study.models import Card, Face, StudySettings
from study.pictures import attachments_in
from utils.http.errors import ApplicationError
from utils.personal_data import File

CARDS_MAX = 50_000
CHARACTERS_MAX = 100_000_000
"""In characters, over all texts."""
DECK_ID = 1_789_417_602_114
DECK_NAME = "NoteAssist AI"
_BATCH = 500
_PIECE = 64 * 1024
_CSS = """\
.card { font-family: sans-serif; font-size: 20px; text-align: center; }
.card img { max-width: 100%; }
.card pre, .card ul, .card ol, .card table { display: inline-block; text-align: left; }
.cloze { font-weight: bold; color: #1565c0; }
.nightMode .cloze { color: #90caf9; }
"""
_ANSWER = "{{FrontSide}}<hr id=answer>{{%s}}"


def _model(model_id: int, name: str, fields: Sequence[str], templates: Sequence[tuple[str, str]], kind: int) -> Any:
    return genanki.Model(
        model_id,
        f"NoteAssist AI {name}",
        fields=[{"name": field} for field in fields],
        templates=[
            {"name": f"Card {n}", "qfmt": question, "afmt": answer} for n, (question, answer) in enumerate(templates, 1)
        ],
        css=_CSS,
        model_type=kind,
    )


_FORWARD = ("{{Front}}", _ANSWER % "Back")
_BACKWARD = ("{{Back}}", _ANSWER % "Front")
# Never change these ids: a new one would create a second note type in existing collections, and so duplicate cards.
MODELS = {
    Card.Kind.BASIC: _model(1_789_417_602_111, "basic", ("Front", "Back"), [_FORWARD], genanki.Model.FRONT_BACK),
    Card.Kind.REVERSED: _model(
        1_789_417_602_112, "reversed", ("Front", "Back"), [_FORWARD, _BACKWARD], genanki.Model.FRONT_BACK
    ),
    Card.Kind.CLOZE: _model(
        1_789_417_602_113,
        "cloze",
        ("Text", "Extra"),
        [("{{cloze:Text}}", "{{cloze:Text}}<br>{{Extra}}")],
        genanki.Model.CLOZE,
    ),
}


class ExportTooLarge(ApplicationError):
    code = "export_too_large"
    status_code = 413
    detail = "There are too many cards for one package. Choose a note or a tag."


def cards_to_export(user_id: int, filters: dict[str, Any]) -> list[UUID]:
    """The ids of the user's cards in order of creation, without proposed ones.

    Two queries. ``filters`` are ``note`` and ``tag``. Raises :class:`ExportTooLarge`.
    """
    cards = Card.objects.owned_by(user_id).filtered({**filters, "user_id": user_id}).filter(proposed=False)
    size = cards.order_by().aggregate(cards=Count("pk"), characters=Sum(Length("front") + Length("back")))
    if size["cards"] > CARDS_MAX or (size["characters"] or 0) > CHARACTERS_MAX:
        raise ExportTooLarge(limit=CARDS_MAX, used=size["cards"])
    return list(cards.order_by("created_at", "pk").values_list("pk", flat=True)[:CARDS_MAX])


def package_files(settings: StudySettings, card_ids: Sequence[UUID], now: datetime) -> Iterator[File]:
    """The files of the package, generated while they are sent, so only a few cards are in memory at a time."""
    media = OutgoingMedia(settings.user_id)
    yield "collection.anki2", _database(settings, card_ids, now, media)
    yield "media", [orjson.dumps(media.names_by_number())]
    yield from media.files()


def _database(
    settings: StudySettings, card_ids: Sequence[UUID], now: datetime, media: OutgoingMedia
) -> Iterator[bytes]:
    with TemporaryDirectory(prefix="anki-") as folder:
        path = Path(folder, "collection.anki2")
        with closing(sqlite3.connect(path)) as database:
            _fill(database, settings, card_ids, now, media)
            database.commit()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _fill(
    database: sqlite3.Connection,
    settings: StudySettings,
    card_ids: Sequence[UUID],
    now: datetime,
    media: OutgoingMedia,
) -> None:
    terms = settings.terms
    created = terms.start_of(terms.day_of(now))
    seconds = int(now.timestamp())
    ids = itertools.count(seconds * 1000)
    deck = genanki.Deck(DECK_ID, DECK_NAME)
    for model in MODELS.values():
        deck.add_model(model)
    genanki.Package(deck).write_to_db(database.cursor(), seconds, ids)
    # Anki's day then starts at the student's hour.
    database.execute("UPDATE col SET crt = ?, mod = ?", [int(created.timestamp()), seconds * 1000])
    position = 0
    for start in range(0, len(card_ids), _BATCH):
        cards, faces = _load(settings.user_id, card_ids[start : start + _BATCH])
        media.look_up({name for card in cards for name in attachments_in(card.front + card.back)})
        for card in cards:
            position += 1
            note_id = next(ids)
            _insert(
                database,
                "notes",
                {
                    "id": note_id,
                    "guid": str(card.pk),
                    "mid": MODELS[Card.Kind(card.kind)].model_id,
                    "mod": seconds,
                    "tags": "".join(f" {tag}" for tag in map(_tag, card.tags)) + " ",
                    **_texts(card, media),
                },
            )
            for face in faces[card.pk]:
                row = row_of(face.memory, terms, created=created, position=position, suspended=card.suspended)
                cell = {"id": next(ids), "nid": note_id, "did": DECK_ID, "ord": face.n - 1, "mod": seconds, **row}
                _insert(database, "cards", cell)


def _load(user_id: int, card_ids: Sequence[UUID]) -> tuple[list[Card], dict[UUID, list[Face]]]:
    """The cards in this order, without those deleted in the meantime, and their faces: two queries."""
    mine: QuerySet[Card] = Card.objects.owned_by(user_id).filter(pk__in=card_ids)
    found = {card.pk: card for card in mine.only("pk", "kind", "front", "back", "tags", "suspended")}
    faces: dict[UUID, list[Face]] = {card_id: [] for card_id in found}
    for face in Face.objects.filter(card__in=found).order_by("card", "n"):
        faces[face.card_id].append(face)
    return [found[card_id] for card_id in card_ids if card_id in found], faces


def _texts(card: Card, media: OutgoingMedia) -> dict[str, str]:
    is_cloze = card.kind == Card.Kind.CLOZE
    front = to_field(card.front, media_name=media.name, is_cloze=is_cloze)
    return {"flds": f"{front}\x1f{to_field(card.back, media_name=media.name)}", "sfld": front}


def _tag(tag: str) -> str:
    """The tag without spaces, which Anki's tags cannot contain."""
    return "_".join(tag.split())


_DEFAULTS: dict[str, dict[str, Any]] = {
    "notes": {"usn": -1, "csum": 0, "flags": 0, "data": ""},
    "cards": {"usn": -1, "odue": 0, "odid": 0, "flags": 0},
}


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    values = {**_DEFAULTS[table], **row}
    marks = ", ".join(f":{name}" for name in values)
    database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", values)
