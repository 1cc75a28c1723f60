"""Write example code for a topic, in a given language."""

from typing import Any

from ai_tasks.handlers.base import CONTEXT_FIELD, TOPIC_FIELD, Handler, OfflineAnswer, Result, text_answer
from ai_tasks.handlers.fences import code_blocks, unfenced
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Observer
from ai_tasks.providers.errors import UnusableAnswer
from ai_tasks.providers.offline.compose import code_block, from_line, same_language, source_of
from ai_tasks.providers.offline.notes_search import Found, find_topics

TOPICS_SEARCHED = 20
TOPICS_NAMED = 5


class GenerateCode(Handler):
    request_type = "generate_code"
    properties = {
        "topic": TOPIC_FIELD,
        "language": {
            "type": "string",
            "minLength": 1,
            "maxLength": 30,
            "pattern": r"^[\w+#.\-/* ]{1,30}$",
            "description": "The programming language.",
        },
        "context": CONTEXT_FIELD,
    }
    required = ("language",)
    from_topic = "topic"
    applies_to = "code"
    quotes_notes_offline = True
    prompt = Prompt("generate_code", 2)

    def parse(self, text: str, data: dict[str, Any]) -> Result:
        """Take the code out of its fence. Its language is the requested one, whatever the fence says."""
        text = text.strip()
        if not same_language(data["language"], "markdown"):
            text = unfenced(text)
        blocks = code_blocks(text)
        if not blocks:
            raise UnusableAnswer("answer_without_code", "The AI model's answer has no code.")
        chosen = next((block for block in blocks if same_language(block.language, data["language"])), blocks[0])
        return Result(content=text, code=chosen.code, code_language=data["language"], sources=[], notice=None)

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Find code on the topic, in that language, in the user's own notes."""
        topic, language = data["topic"], data["language"]
        observer.progress(10, "Looking through your notes")
        found = find_topics(user_id=user_id, subject=topic, having="code", limit=TOPICS_SEARCHED)
        matching = [each for each in found if same_language(each.code_language, language)][:TOPICS_NAMED]
        answer = _quote_code(topic, matching) if matching else _say_there_is_none(topic, language, found)
        observer.progress(60, f"Found {len(matching)} matching topics", answer["result"]["content"])
        observer.progress(90, "Finishing")
        return answer


def _quote_code(topic: str, found: list[Found]) -> OfflineAnswer:
    best, *others = found
    parts = [f"Code on “{topic}” in your notes:", f"## {best.title}", from_line(best)]
    parts.append(code_block(best.code, best.code_language))
    if others:
        parts.append("More in: " + ", ".join(f"“{each.title}” in “{each.note_title}”" for each in others) + ".")
    result = Result(
        content="\n\n".join(parts),
        code=best.code,
        code_language=best.code_language,
        sources=[source_of(each) for each in found],
        notice="No AI model is configured: this code is taken from your own notes, unchanged.",
    )
    return OfflineAnswer(result=result, applicable=True)


def _say_there_is_none(topic: str, language: str, elsewhere: list[Found]) -> OfflineAnswer:
    content = f"Your notes have no {language} code on “{topic}”, and there is no AI model that could write it."
    named = elsewhere[:TOPICS_NAMED]
    if named:
        listed = (f"“{each.title}” ({each.code_language or 'no language given'})" for each in named)
        content += f"\n\nIn other languages: {', '.join(listed)}."
    return text_answer(
        content,
        notice="No AI model is configured, and no code in your notes matches.",
        sources=[source_of(each) for each in named],
        applicable=False,
    )
