"""The state today of each quote in an answer: whether its block is unchanged."""

from typing import Any

import orjson
from django.db.models import QuerySet

from ai_tasks.models import AITask
from notes.blocks.stored import Block, decode
from notes.models import Topic
from utils.database.compiled_queries import read_rows

QUOTING = frozenset({AITask.RequestType.ASK.value})
"""The request types whose answers quote blocks."""


def with_states(result: Any, *, user_id: int) -> Any:
    """Add the state of each quote to the result of a ``QUOTING`` task. One query, if there are quotes.

    ``result`` is a dictionary, or an ``orjson.Fragment`` of one. A quote is ``current`` while its block is unchanged,
    ``changed`` when the block has another text, and ``gone`` when the block is deleted or its note is in the trash.
    """
    if result is None:
        return None
    if isinstance(result, orjson.Fragment):
        result = orjson.loads(orjson.dumps(result))
    quotes = [quote for sentence in result.get("sentences", ()) for quote in sentence["quotes"]]
    if not quotes:
        return result
    rows = read_rows(_topics, topic_ids=sorted({quote["topic_id"] for quote in quotes}), user_id=user_id)
    wanted = {quote["block_id"] for quote in quotes}
    blocks: dict[str, tuple[int, Block]] = {}
    for row in rows:
        for block in decode(row["blocks"], row["explanation"]) or ():
            if block.id in wanted:
                blocks[block.id] = row["chapter__note_id"], block
    hashes = {block_id: block.hash for block_id, (_, block) in blocks.items()}
    sentences = []
    for sentence in result["sentences"]:
        shown = []
        for quote in sentence["quotes"]:
            quote = dict(quote)
            quoted, now = quote.pop("hash"), hashes.get(quote["block_id"])
            quote["state"] = "gone" if now is None else "current" if now == quoted else "changed"
            if now is not None:  # the topic may have moved to another note
                quote["note_id"] = blocks[quote["block_id"]][0]
            shown.append(quote)
        sentences.append({**sentence, "quotes": shown})
    return {**result, "sentences": sentences}


def _topics(topic_ids: list[int], user_id: int) -> QuerySet[Topic, Any]:
    topics = Topic.objects.owned_by(user_id).filter(pk__in=topic_ids)
    return topics.values("explanation", "blocks", "chapter__note_id")
