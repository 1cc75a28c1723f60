"""Saves the cards that were made from a topic as proposed cards."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from notes.blocks.stored import Block
from notes.blocks.words import is_cosmetic
from notes.models import Note, Topic
from notes.services import get_blocks
from study.making.passages import covered_kinds
from study.making.reading import MadeCard
from study.models import Card, Face
from study.services.budgets import charge_cards, size_of_new
from study.services.cards import faces_for
from study.services.locking import studying
from study.services.statements import CardWithFaces


def propose_made(*, user_id: int, topic_id: int | None, made: Sequence[MadeCard]) -> list[tuple[UUID, MadeCard]] | None:
    """Add cards in state ``proposed``, each linked to the text that it was made from; None if the topic is gone.

    Runs in the caller's transaction. A card is left out if its passage has got a card of that kind since it was read. A
    card made from the present text of a stale card's passage replaces that card. If the passage has changed since it
    was read, the new card is stale; if the passage is gone, it is an orphan. Raises as ``charge_cards``.
    """
    with studying(user_id):
        blocks = _locked_blocks(user_id, topic_id)
        if blocks is None:
            return None
        covered = covered_kinds(user_id=user_id, blocks=blocks.values())
        free = [card for card in made if card.block is None or card.kind not in covered.get(card.block.id, ())]
        outdated = _stale_cards(user_id, {card.block.id for card in free if card.block is not None})
        now = timezone.now()
        cards = []
        for number, one in enumerate(free):
            card = Card(
                user_id=user_id,
                proposed=True,
                kind=one.kind,
                front=one.front,
                back=one.back,
                topic_id=topic_id,
                created_at=now + timedelta(microseconds=number),
            )
            if one.block is not None:
                _tie(card, one.block, blocks.get(one.block.id))
                stale = outdated.get((one.block.id, one.kind))
                card.replaces = stale.pop(0) if stale else None
            cards.append(card)
        Card.objects.bulk_create(cards)
        made_cards = [CardWithFaces(card, faces_for(card)) for card in cards]
        Face.objects.bulk_create([face for _, faces in made_cards for face in faces])
        charge_cards(user_id=user_id, grown=size_of_new(made_cards))
        return [(card.pk, one) for card, one in zip(cards, free, strict=True)]


def _locked_blocks(user_id: int, topic_id: int | None) -> dict[str, Block] | None:
    """The topic's blocks by id, with its note locked, so that no edit happens before the cards are linked."""
    notes = Note.objects.owned_by(user_id).live().filter(chapters__topics=topic_id)
    if topic_id is None or not notes.select_for_update(no_key=True, of=("self",)).values_list("pk"):
        return None
    try:
        blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
    except Topic.DoesNotExist:
        return None
    return {block.id: block for block in blocks}


def _tie(card: Card, read: Block, current: Block | None) -> None:
    card.block_id, card.block_text = read.id, read.text
    card.orphan = current is None
    card.stale = current is not None and not is_cosmetic(read.text, current.text, kind=current.kind)


def _stale_cards(user_id: int, block_ids: set[str]) -> dict[tuple[str, str], list[UUID]]:
    """The stale cards of these passages by passage and kind, oldest first."""
    stale = Card.objects.owned_by(user_id).filter(stale=True, proposed=False, block_id__in=block_ids)
    found: dict[tuple[str, str], list[UUID]] = {}
    for pk, block_id, kind in stale.order_by("created_at", "pk").values_list("pk", "block_id", "kind"):
        found.setdefault((block_id, kind), []).append(pk)
    return found
