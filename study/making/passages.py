"""Selects the passages of a topic from which cards can still be made."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from notes.blocks.splitting import Kind
from notes.blocks.stored import Block
from notes.blocks.words import is_cosmetic, words_of
from notes.models import Topic
from notes.services import get_blocks
from study.models import Card

PASSAGES_MAX_BYTES = 60_000
"""Per request; later requests take the remaining passages."""
WORDS_MIN = 3


class CardPassage(NamedTuple):
    """A block, the block before it, the heading above it, and the kinds of cards that it lacks."""

    block: Block
    before: Block | None
    heading: str
    kinds: frozenset[str]


class TopicPassages(NamedTuple):
    """A topic's title and its passages in order.

    ``has_more``: some passages did not fit. ``had_cards``: some were left out because they have cards.
    """

    title: str
    passages: list[CardPassage]
    has_more: bool
    had_cards: bool


def find_passages(*, user_id: int, topic_id: int, kinds: Collection[str]) -> TopicPassages | None:
    """The passages of a topic that lack a card of one of these kinds; None if the topic is gone. Three queries."""
    title = Topic.objects.owned_by(user_id).filter(pk=topic_id).values_list("title", flat=True).first()
    try:
        blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
    except Topic.DoesNotExist:
        return None
    covered = covered_kinds(user_id=user_id, blocks=blocks)
    passages: list[CardPassage] = []
    heading, size, has_more, had_cards = "", 0, False, False
    for before, block in zip([None, *blocks], blocks, strict=False):
        if block.kind is Kind.HEADING:
            heading = block.text.strip().strip("#=-").strip()
        elif len(words_of(block.text)) >= WORDS_MIN:
            left = frozenset(kinds) - covered.get(block.id, set())
            had_cards = had_cards or len(left) < len(kinds)
            if not left:
                continue
            size += len(block.text.encode())
            if passages and size > PASSAGES_MAX_BYTES:
                has_more = True
                break
            passages.append(CardPassage(block, before, heading, left))
    return TopicPassages(title or "", passages, has_more, had_cards)


def covered_kinds(*, user_id: int, blocks: Iterable[Block]) -> dict[str, set[str]]:
    """The kinds of cards that each block already has, counting only cards made from its present words."""
    by_id = {block.id: block for block in blocks}
    covered: dict[str, set[str]] = {}
    cards = Card.objects.owned_by(user_id).filter(block_id__in=list(by_id))
    for block_id, kind, text in cards.values_list("block_id", "kind", "block_text"):
        block = by_id[block_id]
        if text == block.text or is_cosmetic(text, block.text, kind=block.kind):
            covered.setdefault(block_id, set()).add(kind)
    return covered
