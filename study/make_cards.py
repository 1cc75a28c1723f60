"""The handler of ``make_cards``: proposes cards made from a topic's passages."""

from collections.abc import Sequence
from typing import Any, NotRequired

from ai_tasks.handlers.base import Handler, OfflineAnswer, Result
from ai_tasks.handlers.structured import read_answer, response_format
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Message, Observer
from notes.models import TITLE_MAX_LENGTH, Topic
from notes.services import OverBudget
from study.making.passages import PASSAGES_MAX_BYTES, TopicPassages, find_passages
from study.making.reading import MadeCard, as_shown, read_cards
from study.making.rules import made_by_rules
from study.models import Card
from study.services.making import propose_made
from utils.http.errors import FieldError, InvalidRequest

COUNT_MAX = 50
COUNT_DEFAULT = 20
KINDS = list(Card.Kind.values)

TOPIC_GONE = "The topic is gone or in the trash, so no cards were made."
NOTHING_LEFT = "Every passage of this topic already has cards of these kinds."
NO_PASSAGES = "This topic has no passage to make cards from."
NO_ROOM = "The cards were not saved."
NOT_KEPT = "The cards could not be recorded. Ask again for them."
OFFLINE = "No AI model is configured: these cards are made of the topic's own words, by fixed rules."
NONE_MADE = "The model found nothing to make cards from."
NOTHING_FOUND = "No definition, bold term, list or code was found to make a card from."

_CARD = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": KINDS},
        "front": {"type": "string"},
        "back": {"type": "string"},
        "block_id": {"type": "string"},
    },
    "required": ["kind", "front", "back", "block_id"],
    "additionalProperties": False,
}


class Made(Result):
    """A result with its cards: ``made`` before they are recorded, ``cards`` afterwards."""

    made: NotRequired[list[MadeCard]]
    cards: NotRequired[list[dict[str, Any]]]


class MakeCards(Handler):
    request_type = "make_cards"
    properties = {
        "count": {
            "type": "integer",
            "minimum": 1,
            "maximum": COUNT_MAX,
            "description": "The maximum number of cards.",
        },
        "kinds": {
            "type": "array",
            "items": {"type": "string", "enum": KINDS},
            "minItems": 1,
            "maxItems": len(KINDS),
            "uniqueItems": True,
            "description": "The kinds of cards to make. The default is all.",
        },
    }
    defaults = {"count": COUNT_DEFAULT, "kinds": KINDS}
    from_topic = None
    needs_topic = True
    applies_to = None
    is_reused = False  # the cards of an old answer exist already
    gathered_bytes = 2 * PASSAGES_MAX_BYTES  # the passages and the lines around them
    response_format = response_format("cards", _CARD)
    prompt = Prompt("make_cards", 1)

    def validate(self, data: object) -> dict[str, Any]:
        """Validate as usual, and sort the kinds so that equal requests are equal."""
        valid = super().validate(data)
        return {**valid, "kinds": [kind for kind in KINDS if kind in valid["kinds"]]}

    def resolve(self, data: dict[str, Any], topic: Topic | None) -> dict[str, Any]:
        """Return the data unchanged. Raises ``InvalidRequest`` without a topic, or for a topic without text."""
        if topic is None:
            raise InvalidRequest(errors=[_topic_error("required", "Name the topic that the cards are made from.")])
        if not topic.explanation.strip():
            raise InvalidRequest(errors=[_topic_error("blank", "The topic has no text to work on.")])
        return data

    def gather(self, data: dict[str, Any], *, user_id: int, topic_id: int | None = None) -> dict[str, Any]:
        """Add the topic's passages without such cards as ``found``; None if the topic is gone."""
        found = None
        if topic_id is not None:
            found = find_passages(user_id=user_id, topic_id=topic_id, kinds=data["kinds"])
        return {**data, "found": found}

    def answer_without_model(self, data: dict[str, Any], observer: Observer) -> OfflineAnswer | None:
        found: TopicPassages | None = data["found"]
        if found is None:
            return _answer([], TOPIC_GONE)
        observer.progress(10, f"Found {len(found.passages)} passages to make cards of")
        if found.passages:
            return None
        return _answer([], NOTHING_LEFT if found.had_cards else NO_PASSAGES)

    def messages(self, data: dict[str, Any]) -> list[Message]:
        found: TopicPassages | None = data.get("found")
        fields = {"count": str(data["count"]), "kinds": ", ".join(data["kinds"])}
        if found is not None:
            fields["topic"] = found.title[:TITLE_MAX_LENGTH]
            fields |= {f"passage {passage.block.id}": passage.block.text for passage in found.passages}
        return self.prompt.messages(fields)

    def parse(self, text: str, data: dict[str, Any]) -> Result:
        """Read the cards in the answer. Raises ``UnusableAnswer`` for any other document."""
        found: TopicPassages = data["found"]
        made, left_out = read_cards(read_answer(text, "cards"), found.passages, data["kinds"])
        notices = [f"{left_out} of the model's cards cannot be asked, and were left out."] if left_out else []
        if not made and not left_out:
            notices = [NONE_MADE]
        return _result(made[: data["count"]], _notice(notices, found))

    def incomplete(self, content: str, notice: str) -> Result:
        return Made(**super().incomplete(content, notice), cards=[])

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Make cards from definitions, bold terms, lists and code."""
        found: TopicPassages = data["found"]
        observer.progress(20, "Reading the passages")
        made = made_by_rules(found.passages, count=data["count"])
        answer = _answer(made, _notice([OFFLINE if made else f"{OFFLINE} {NOTHING_FOUND}"], found) or "")
        observer.progress(60, f"Made {len(made)} cards", answer["result"]["content"])
        observer.progress(90, "Finishing")
        return answer

    def record(self, result: Any, *, user_id: int, topic_id: int | None, may_write: bool) -> Result:
        """Propose the cards to the student, and add their ids to the result."""
        made: Sequence[MadeCard] = result.pop("made")
        if not may_write:
            return result | {"notice": NOT_KEPT}
        try:
            proposed = propose_made(user_id=user_id, topic_id=topic_id, made=made)
        except OverBudget as error:
            return result | {"notice": f"{NO_ROOM} {error.detail}"}
        if proposed is None:
            return result | {"notice": TOPIC_GONE}
        cards = [{"id": str(card_id), **as_shown(card)} for card_id, card in proposed]
        return result | {"content": _listed([card for _, card in proposed]), "cards": cards}


def _topic_error(code: str, detail: str) -> FieldError:
    return {"pointer": "/topic_id", "code": code, "detail": detail}


def _notice(parts: Sequence[str], found: TopicPassages) -> str | None:
    more = ["The topic is long: ask again for cards from the rest of it."] if found.has_more else []
    return " ".join([*parts, *more]) or None


def _answer(made: Sequence[MadeCard], notice: str) -> OfflineAnswer:
    return OfflineAnswer(result=_result(made, notice), applicable=False)


def _result(made: Sequence[MadeCard], notice: str | None) -> Result:
    return Made(
        content=_listed(made), code=None, code_language=None, sources=[], notice=notice, made=list(made), cards=[]
    )


def _listed(made: Sequence[MadeCard]) -> str:
    """The cards as a Markdown list."""
    return "\n\n".join(f"{number}. {card.front}\n\n{card.back}".rstrip() for number, card in enumerate(made, 1))
