"""Imports Anki packages as cards: the importer of ``.apkg`` files.

A card is identified by its Anki note's id, so importing a deck twice creates no duplicates, and importing one's own
export creates nothing. An existing card keeps its text; it only takes over reviews made in Anki since its own last
review.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from django.db import connection
from django.utils import timezone

from notes.importers import FileReport, ImportContext, Outcome, SourceFile
from notes.markdown.archives import UnreadableArchive
from notes.services import OverBudget
from study.anki.notes import ImportedCard, Reader
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
"""The time limit for a package in this thread; ten thousand cards take about ten seconds."""
_NAMESPACE = UUID("0b5e8d0c-64a3-4c0a-9a0c-6a8f4f2f9a11")
_BATCH = 500
_LEARNED_AT_ONCE = 200
"""How many cards one transaction updates, so that its lock blocks other requests for less than a second."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@contextmanager
def import_package(context: ImportContext, file: SourceFile) -> Iterator[Callable[[], FileReport]]:
    """Read a package and update existing cards; the yielded function then creates all new cards, or none.

    Call that function in a transaction, and enter this context manager before it: each batch of updates has its own
    transaction. Both raise ``UnreadableArchive``; this one also ``UnsafeArchive``, and the function ``OverBudget``.
    """
    content = file.read(PACKAGE_MAX + 1)
    if len(content) > PACKAGE_MAX:
        raise UnreadableArchive("The package is too large.")
    until = time.thread_time() + SECONDS_MAX
    with opened_package(content) as package:
        pictures = IncomingPictures(context.user_id, package)
        reader = Reader(package.header, pictures.markdown)
        drafts: list[ImportedCard] = []
        for note in package.notes():
            drafts += reader.drafts(note)
            _check_time(until)
        settings = get_settings(user_id=context.user_id)
        writer = _Writer(settings, package.header["created"], timezone.now(), context.dry_run)
        for batch in _batches(drafts, _LEARNED_AT_ONCE):
            writer.learn(batch)
            _check_time(until, writer.told_of_learned())

        def make_cards() -> FileReport:
            try:
                # Storing may take long, so it happens before any lock is taken.
                with pictures.stored(_texts_of_new(context, drafts)), importing(context.user_id):
                    for batch in _batches(drafts):
                        writer.create(batch)
                        _check_time(until, writer.told_of_learned())
                    writer.charge()
                    pictures.record()
            except OverBudget as error:
                return FileReport("failed", warnings=[error.detail, *writer.told_of_learned()])
            outcome: Outcome = "created" if writer.created else "updated" if writer.updated else "unchanged"
            return FileReport(outcome, warnings=[*writer.told(), *_told(reader)])

        yield make_cards


def _batches(drafts: Sequence[ImportedCard], size: int = _BATCH) -> Iterator[Sequence[ImportedCard]]:
    for start in range(0, len(drafts), size):
        yield drafts[start : start + size]


def _texts_of_new(context: ImportContext, drafts: Sequence[ImportedCard]) -> list[str]:
    """The texts of the new cards; none in a dry run, which stores nothing."""
    if context.dry_run:
        return []
    here: set[UUID] = set()
    for batch in _batches(drafts):
        ids = {one for draft in batch for one in _ids_of(context.user_id, draft)}
        here.update(Card.objects.owned_by(context.user_id).filter(pk__in=ids).values_list("pk", flat=True))
    new = [draft for draft in drafts if not here.intersection(_ids_of(context.user_id, draft))]
    return [text for draft in new for text in (draft.front, draft.back)]


def _check_time(until: float, told: Sequence[str] = ()) -> None:
    if time.thread_time() > until:
        raise UnreadableArchive(" ".join(["Reading this package takes too long. Export it in parts.", *told]))


def _told(reader: Reader) -> list[str]:
    told = [f"Cards left out ({reason}): {count}." for reason, count in reader.left_out.most_common(10)]
    if reader.lost["sound"]:
        told.append(f"Sounds left out: {reader.lost['sound']}.")
    if reader.lost["picture"]:
        told.append(f"Pictures left out, missing or of an unsupported type: {reader.lost['picture']}.")
    if reader.lost["tag"]:
        told.append(f"Tags left out: {reader.lost['tag']}.")
    return told


@dataclass(slots=True)
class _Writer:
    """Writes the cards of a package in batches, each with a fixed number of queries.

    Slow work is done without the lock on the user's cards, so that reviews continue: computing schedules, and writing
    cards that are not visible to others yet.
    """

    settings: StudySettings
    collection_created: int
    now: datetime
    dry_run: bool
    created: int = 0
    updated: int = 0
    there: set[UUID] = field(default_factory=set)
    """The package's cards that already existed."""
    size: Size = field(default_factory=Size)

    def told(self) -> list[str]:
        return [f"Cards: {self.created} new, {len(self.there)} that were here already.", *self.told_of_learned()]

    def told_of_learned(self) -> list[str]:
        return [f"Cards that were here already, with later reviews: {self.updated}."] if self.updated else []

    def learn(self, drafts: Sequence[ImportedCard]) -> None:
        """Update the existing cards of a batch, in a transaction of its own."""
        found = {
            card.pk: (card, draft)
            for draft, card in reversed(self._found(drafts))  # the first of several wins
            if card is not None and card.pk not in self.there
        }
        self.there.update(found)
        if not found:
            return
        with importing(self.settings.user_id):
            faces: dict[UUID, list[Face]] = {card_id: [] for card_id in found}
            for face in Face.objects.filter(card__in=list(faces)).order_by("card", "n"):
                faces[face.card_id].append(face)
            events: list[StudyEvent] = []
            changed: dict[UUID, Card] = {}
            for card, draft in found.values():
                if added := self._baselines(card.pk, draft, [] if card.proposed else faces[card.pk]):
                    events += added
                    changed[card.pk] = card
            if changed and not self.dry_run:
                StudyEvent.objects.bulk_create(events, ignore_conflicts=True)
                self._bring_up_to_date(changed, {card_id: faces[card_id] for card_id in changed})
            self.updated += len(changed)

    def _bring_up_to_date(self, cards: dict[UUID, Card], faces: dict[UUID, list[Face]]) -> None:
        """Write the state of the cards after the new log entries, also for cards that changed since they were read."""
        refold(faces)
        for card_id, card in cards.items():
            for face in faces[card_id]:
                face.active = is_active(card)
        with studying(self.settings.user_id):
            versions = dict(Card.objects.filter(pk__in=list(cards)).values_list("pk", "version"))
            same = [pk for pk, card in cards.items() if versions.get(pk) == card.version]
            record((), (face for pk in same for face in faces[pk]), same)
            # Cards that were reviewed or changed in the meantime.
            others = lock_cards(self.settings.user_id, versions.keys() - set(same))
            refold({pk: found.faces for pk, found in others.items()})
            record((), (face for found in others.values() for face in found.faces), list(others))

    def create(self, drafts: Sequence[ImportedCard]) -> None:
        """Create the new cards of a batch. Call it for each batch, then :meth:`charge`."""
        new: dict[UUID, ImportedCard] = {}
        for draft, card in self._found(drafts):
            ids = _ids_of(self.settings.user_id, draft)
            if card is not None:
                self.there.add(card.pk)
            elif self.there.isdisjoint(ids):  # otherwise it was deleted in the meantime
                new.setdefault(ids[-1], draft)
        self._create(new)

    def charge(self) -> None:
        """Count the created cards. Raises as ``charge_cards``."""
        if self.size == Size():
            return
        connection.check_constraints()  # check now, not at the commit, which would hold the lock
        with studying(self.settings.user_id):
            charge_cards(user_id=self.settings.user_id, grown=self.size)

    def _found(self, drafts: Sequence[ImportedCard]) -> list[tuple[ImportedCard, Card | None]]:
        """Each imported card with the existing card, if there is one."""
        ids_of = [_ids_of(self.settings.user_id, draft) for draft in drafts]
        cards = Card.objects.owned_by(self.settings.user_id).only("pk", "version", "proposed", "suspended")
        known = cards.in_bulk({one for ids in ids_of for one in ids})
        found = (next((known[one] for one in ids if one in known), None) for ids in ids_of)
        return list(zip(drafts, found, strict=True))

    def _create(self, drafts: dict[UUID, ImportedCard]) -> None:
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
                # New cards are asked in the order of the package.
                created_at=self.now + timedelta(microseconds=self.created + len(made)),
            )
            faces = faces_for(card)
            made.append(CardWithFaces(card, faces))
            events += self._baselines(card_id, draft, faces)
        # The log of a deleted card still exists, and counts again.
        StudyEvent.objects.bulk_create(events, ignore_conflicts=True)
        refold({card.pk: faces for card, faces in made})
        Card.objects.bulk_create([card for card, _ in made])
        Face.objects.bulk_create([face for _, faces in made for face in faces])
        self.size = self.size.plus(size_of_new(made))
        self.created += len(made)

    def _baselines(self, card_id: UUID, draft: ImportedCard, faces: Iterable[Face]) -> list[StudyEvent]:
        """The baselines of faces learned in Anki, unless they were reviewed here since."""
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


def _ids_of(user_id: int, draft: ImportedCard) -> list[UUID]:
    """The possible ids of an imported card; a new card gets the last one.

    In our own packages, a note's guid is the id of its card.
    """
    own = [UUID(draft.guid)] if _UUID.fullmatch(draft.guid) else []
    return [*own, uuid5(_NAMESPACE, f"{user_id}\n{draft.guid}\n{draft.part}")]
