"""Packages of Anki as cards: the importer of ``.apkg`` files.

A card is known by the package's id of its note, so the same deck imported twice makes no card twice, and one's own
export none at all. A card that is there already keeps what it says; it only learns of reviews that were made in Anki
since its own last one.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import UUID, uuid5

from django.db import connection
from django.utils import timezone

from notes.importers import FileReport, ImportContext, SourceFile
from notes.markdown.archives import UnreadableArchive
from study.anki.notes import Draft, Reader
from study.anki.packages import PACKAGE_MAX, opened_package
from study.anki.schedules import Learned, learned
from study.models import Card, Face, StudyEvent, StudySettings
from study.pictures import IncomingPictures
from study.services.budgets import Size, charge_cards, size_of_new
from study.services.cards import faces_for
from study.services.locking import importing, studying
from study.services.schedules import is_active, refold
from study.services.settings import get_settings
from study.services.statements import CardWithFaces, lock_cards, record

SECONDS_MAX = 60
"""Of this thread's work on a package; ten thousand cards take about ten."""
_NAMESPACE = UUID("0b5e8d0c-64a3-4c0a-9a0c-6a8f4f2f9a11")
_BATCH = 500
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def import_package(context: ImportContext, file: SourceFile) -> FileReport:
    """All cards of a package, or none. Raises ``UnsafeArchive``, ``UnreadableArchive`` and ``OverBudget``."""
    content = file.read(PACKAGE_MAX + 1)
    if len(content) > PACKAGE_MAX:
        raise UnreadableArchive("The package is too large.")
    until = time.thread_time() + SECONDS_MAX
    with opened_package(content) as package:
        pictures = IncomingPictures(context.user_id, package)
        reader = Reader(package.header, pictures.markdown)
        drafts: list[Draft] = []
        for note in package.notes():
            drafts += reader.drafts(note)
            _check_time(until)
        # Storing may take long, so it comes before any lock.
        with pictures.stored(_texts_of_new(context, drafts)), importing(context.user_id):
            settings = get_settings(user_id=context.user_id)
            writer = _Writer(settings, package.header["created"], timezone.now())
            remaining = iter(drafts)
            while batch := list(islice(remaining, _BATCH)):
                writer.write(batch)
                _check_time(until)
            writer.finish()
            pictures.record()
    outcome = "created" if writer.created else "updated" if writer.updated else "unchanged"
    return FileReport(outcome, warnings=[*writer.told(), *_told(reader)])  # type: ignore[arg-type]


def _texts_of_new(context: ImportContext, drafts: Sequence[Draft]) -> list[str]:
    """The texts of cards that are not here yet; in a dry run of none, as nothing is kept."""
    if context.dry_run:
        return []
    here: set[UUID] = set()
    for start in range(0, len(drafts), _BATCH):
        ids = {one for draft in drafts[start : start + _BATCH] for one in _ids_of(context.user_id, draft)}
        here.update(Card.objects.owned_by(context.user_id).filter(pk__in=ids).values_list("pk", flat=True))
    new = [draft for draft in drafts if not here.intersection(_ids_of(context.user_id, draft))]
    return [text for draft in new for text in (draft.front, draft.back)]


def _check_time(until: float) -> None:
    if time.thread_time() > until:
        raise UnreadableArchive("Reading this package takes too long. Export it in parts.")


def _told(reader: Reader) -> list[str]:
    told = [f"Cards that were left out, as {reason}: {count}." for reason, count in reader.left_out.most_common(10)]
    if reader.lost["sound"]:
        told.append(f"Sounds that were left out: {reader.lost['sound']}.")
    if reader.lost["picture"]:
        told.append(f"Pictures that were left out, as they are missing or of another kind: {reader.lost['picture']}.")
    if reader.lost["tag"]:
        told.append(f"Tags that were left out: {reader.lost['tag']}.")
    return told


class _Advance(NamedTuple):
    """The schedules that a card is to have after what was learned of it in Anki, unless it has changed meanwhile."""

    version: int
    faces: list[Face]


@dataclass(slots=True)
class _Writer:
    """Writes drafts in batches, each with a fixed number of queries.

    Cards that are new are written, and schedules made, without the lock on the user's cards, so that reviews go on.
    ``finish`` takes it, and brings up to date what is there.
    """

    settings: StudySettings
    collection_created: int
    now: datetime
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    size: Size = field(default_factory=Size)
    advances: dict[UUID, _Advance] = field(default_factory=dict)

    def told(self) -> list[str]:
        told = [f"Cards: {self.created} new, {self.unchanged + self.updated} that were here already."]
        if self.updated:
            told.append(f"Cards that were here already, with later reviews: {self.updated}.")
        return told

    def write(self, drafts: Sequence[Draft]) -> None:
        """Create what is new, and work out what is later; call it for each batch, and then :meth:`finish`."""
        known = self._known(drafts)
        new: dict[UUID, Draft] = {}
        later: list[tuple[Card, Draft]] = []
        for draft in drafts:
            ids = _ids_of(self.settings.user_id, draft)
            found = next((known[one] for one in ids if one in known), None)
            if found is not None:
                later.append((found, draft))
            else:
                new.setdefault(ids[-1], draft)
        self._create(new)
        self._learn(later)

    def finish(self) -> None:
        """Bring the cards that are there up to date. Raises as ``charge_cards``."""
        connection.check_constraints()  # now, not at the commit: no review waits for it
        with studying(self.settings.user_id):
            if self.advances:
                self._bring_up_to_date()
            charge_cards(user_id=self.settings.user_id, grown=self.size)

    def _bring_up_to_date(self) -> None:
        versions = dict(Card.objects.filter(pk__in=list(self.advances)).values_list("pk", "version"))
        same = [pk for pk, advance in self.advances.items() if versions.get(pk) == advance.version]
        record((), (face for pk in same for face in self.advances[pk].faces), same)
        # What was reviewed or changed meanwhile.
        others = lock_cards(self.settings.user_id, versions.keys() - set(same))
        refold({pk: found.faces for pk, found in others.items()})
        record((), (face for found in others.values() for face in found.faces), list(others))

    def _known(self, drafts: Iterable[Draft]) -> dict[UUID, Card]:
        ids = {one for draft in drafts for one in _ids_of(self.settings.user_id, draft)}
        cards = Card.objects.owned_by(self.settings.user_id).only("pk", "version", "proposed", "suspended")
        return cards.in_bulk(ids)

    def _create(self, drafts: dict[UUID, Draft]) -> None:
        made: list[CardWithFaces] = []
        events: list[StudyEvent] = []
        for card_id, draft in drafts.items():
            card = Card(
                pk=card_id,
                user_id=self.settings.user_id,
                kind=draft.kind,
                front=draft.front,
                back=draft.back,
                tags=draft.tags,
                suspended=draft.suspended,
                # New cards come up in the order of the package.
                created_at=self.now + timedelta(microseconds=self.created + len(made)),
            )
            faces = faces_for(card)
            made.append(CardWithFaces(card, faces))
            events += self._baselines(card_id, draft, faces)
        # Of a card that was deleted the log is here still, and counts again.
        StudyEvent.objects.bulk_create(events, ignore_conflicts=True)
        refold({card.pk: faces for card, faces in made})
        Card.objects.bulk_create([card for card, _ in made])
        Face.objects.bulk_create([face for _, faces in made for face in faces])
        self.size = self.size.plus(size_of_new(made))
        self.created += len(made)

    def _learn(self, found: Sequence[tuple[Card, Draft]]) -> None:
        """Log what was learned of cards that are there, and work out their schedules."""
        faces: dict[UUID, list[Face]] = {card.pk: [] for card, _ in found}
        for face in Face.objects.filter(card__in=list(faces)).order_by("card", "n"):
            faces[face.card_id].append(face)
        events: list[StudyEvent] = []
        changed: dict[UUID, Card] = {}
        for card, draft in found:
            added = self._baselines(card.pk, draft, [] if card.proposed else faces[card.pk])
            if added and card.pk not in changed and card.pk not in self.advances:
                events += added
                changed[card.pk] = card
        self.unchanged += len(faces.keys() - self.advances.keys()) - len(changed)
        self.updated += len(changed)
        StudyEvent.objects.bulk_create(events, ignore_conflicts=True)
        refold({card_id: faces[card_id] for card_id in changed})
        for card_id, card in changed.items():
            for face in faces[card_id]:
                face.active = is_active(card)
            self.advances[card_id] = _Advance(card.version, faces[card_id])

    def _baselines(self, card_id: UUID, draft: Draft, faces: Iterable[Face]) -> list[StudyEvent]:
        """What was learned of these faces in Anki, unless they were reviewed here since."""
        terms = self.settings.terms
        events = []
        for face in faces:
            row = draft.learned.get(face.n)
            memory = row and learned(row, created=self.collection_created, terms=terms, now=self.now)
            if memory and (face.last_event_at is None or memory.reviewed_at > face.last_event_at):
                events.append(_baseline(self.settings, card_id, face.n, memory))
        return events


def _baseline(settings: StudySettings, card_id: UUID, n: int, memory: Learned) -> StudyEvent:
    data = memory.as_json()
    return StudyEvent(
        user_id=settings.user_id,
        event_id=uuid5(_NAMESPACE, f"{card_id}\n{n}\n{sorted(data.items())}"),
        card_id=card_id,
        face=n,
        kind=StudyEvent.Kind.BASELINE,
        reviewed_at=memory.reviewed_at,
        settings=settings.terms.as_json(),
        data=data,
    )


def _ids_of(user_id: int, draft: Draft) -> list[UUID]:
    """The ids under which a card may be here; the last one is what a new card gets.

    A package of ours names the card that a note was made of.
    """
    own = [UUID(draft.guid)] if _UUID.fullmatch(draft.guid) else []
    return [*own, uuid5(_NAMESPACE, f"{user_id}\n{draft.guid}\n{draft.part}")]
