"""Cards made by a model or by rules, before they are saved."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ai_tasks.handlers.structured import Item, text_in
from notes.blocks.stored import Block
from study.faces import InvalidCloze, faces_of
from study.making.passages import CardPassage
from study.models import SIDE_MAX_BYTES, Card

POINTED_MIN = 12
"""In characters. Shorter texts occur in many passages."""
_DELETION = re.compile(r"\{\{c\d{1,9}::((?:(?!\}\}|::).){0,2000})(?:::[^{}]{0,2000})?\}\}", re.DOTALL)


class MadeCard(NamedTuple):
    """A card to propose. ``block`` is its passage as it was read; None if unknown."""

    kind: str
    front: str
    back: str
    block: Block | None


def read_cards(
    items: Sequence[Item], passages: Sequence[CardPassage], kinds: Sequence[str]
) -> tuple[list[MadeCard], int]:
    """Read a model's cards: return the valid ones without duplicates, and the number of invalid ones.

    A card is linked to the passage that it names, if that was in the prompt. Otherwise it is linked to the only passage
    that contains its answer verbatim, and to none if there are several or none. Raises ``UnusableAnswer``.
    """
    by_id = {passage.block.id: passage.block for passage in passages}
    made: dict[tuple[str, str], MadeCard] = {}
    left_out = 0
    for item in items:
        kind, front = text_in(item, "kind").strip(), text_in(item, "front").strip()
        back, block_id = text_in(item, "back", default="").strip(), text_in(item, "block_id", default="").strip()
        if kind in kinds and can_be_asked(kind, front, back):
            block = by_id.get(block_id) or _only_passage_with(back if back else opened(front), passages)
            made.setdefault((kind, front), MadeCard(kind, front, back, block))
        else:
            left_out += 1
    return list(made.values()), left_out


def can_be_asked(kind: str, front: str, back: str) -> bool:
    if not front or max(len(front.encode()), len(back.encode())) > SIDE_MAX_BYTES:
        return False
    if kind != Card.Kind.CLOZE:
        return bool(back)
    try:
        faces_of(kind, front)
    except InvalidCloze:
        return False
    return True


def opened(front: str) -> str:
    """A cloze card's text with the deletions filled in."""
    return _DELETION.sub(r"\1", front)


def _only_passage_with(answer: str, passages: Sequence[CardPassage]) -> Block | None:
    wanted = _folded(answer)
    if len(wanted) < POINTED_MIN:
        return None
    found = [passage.block for passage in passages if wanted in _folded(passage.block.text)]
    return found[0] if len(found) == 1 else None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def as_shown(card: MadeCard) -> dict[str, Any]:
    return {
        "kind": card.kind,
        "front": card.front,
        "back": card.back,
        "block_id": None if card.block is None else card.block.id,
    }
