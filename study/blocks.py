"""Links cards to the blocks of topics, and follows changes of these blocks.

A card stores the text that it was made from. It is *stale* while the block has another text, and an *orphan* while the
block does not exist. Restoring an older version clears both.
"""

from collections.abc import Collection, Mapping, Sequence

from django.db.models import Case, Exists, F, OuterRef, Q, Value, When

from notes.blocks.stored import Block
from notes.blocks.words import is_cosmetic
from notes.models import Note, Topic
from notes.services import get_blocks
from study.models import Card
from utils.http.errors import Conflict, FieldError, NotFound

BlockKey = tuple[int, str]
"""The id of a topic and the id of a block in it."""


class NotTiedToBlock(Conflict):
    code = "not_tied_to_block"
    detail = "This card is not tied to a passage of a topic."


class PassageGone(Conflict):
    code = "passage_gone"
    detail = "The passage that this card was made from no longer exists."


def passages(user_id: int, places: Collection[BlockKey]) -> dict[BlockKey, str]:
    """The texts of these blocks, with their notes locked, so that no edit happens before a card is linked.

    Two queries, and one for each topic. Notes are locked before cards, in the same order as in an edit. Raises
    ``NotFound`` with a pointer for a missing topic or block.
    """
    topic_ids = {topic_id for topic_id, _ in places}
    notes = Note.objects.owned_by(user_id).live()
    held = notes.filter(pk__in=notes.filter(chapters__topics__in=topic_ids).values("pk")).order_by("pk")
    list(held.select_for_update(no_key=True).values_list("pk"))
    found = {}
    for topic_id in sorted(topic_ids):
        try:
            blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
        except Topic.DoesNotExist as error:
            raise NotFound(errors=[_missing("/topic_id", "topic")]) from error
        found.update({(topic_id, block.id): block.text for block in blocks})
    if any(place not in found for place in places):
        raise NotFound(errors=[_missing("/block_id", "block")])
    return {place: found[place] for place in places}


def _missing(pointer: str, what: str) -> FieldError:
    return {"pointer": pointer, "code": "not_found", "detail": f"There is no such {what}."}


def follow_blocks(topic_ids: Sequence[int], changed: Mapping[str, Block], removed: Sequence[str]) -> None:
    """Update ``stale`` and ``orphan`` of the cards whose blocks a write changed, removed or restored: at most two
    queries.

    Registered with ``on_blocks_changed``; runs inside the write's transaction.
    """
    touched = Q(block_id__in=[*changed, *removed])
    # A card of a whole topic is an orphan while the topic does not exist.
    turned = Q(block_id="", orphan=F("is_there"))
    cards = (
        Card.objects.filter(topic__in=topic_ids)
        .annotate(is_there=Exists(Topic.objects.filter(pk=OuterRef("topic_id"))))
        .filter(touched | turned)
        .only("pk", "block_id", "block_text", "stale", "orphan")
        .order_by("pk")
        .select_for_update(no_key=True, of=("self",))
    )
    stale, orphans, touched_ids = [], [], []
    for card in cards:
        is_stale, is_orphan = _state_of(card, changed)
        if (is_stale, is_orphan) != (card.stale, card.orphan):
            touched_ids.append(card.pk)
            stale += [card.pk] * is_stale
            orphans += [card.pk] * is_orphan
    if touched_ids:
        Card.objects.filter(pk__in=touched_ids).update(
            stale=Case(When(pk__in=stale, then=Value(True)), default=Value(False)),
            orphan=Case(When(pk__in=orphans, then=Value(True)), default=Value(False)),
            version=F("version") + 1,
        )


def _state_of(card: Card, changed: Mapping[str, Block]) -> tuple[bool, bool]:
    """Return ``(stale, orphan)``."""
    if not card.block_id:
        return False, not card.is_there  # type: ignore[attr-defined]  # annotated
    block = changed.get(card.block_id)
    if block is None:
        return False, True
    return not is_cosmetic(card.block_text, block.text, kind=block.kind), False
