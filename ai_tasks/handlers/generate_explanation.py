"""Explain a topic to a student of a given level."""

from typing import Any

from ai_tasks.handlers.base import CONTEXT_FIELD, TOPIC_FIELD, Handler, OfflineAnswer, text_answer
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Observer
from ai_tasks.providers.offline.compose import excerpt_section, source_of
from ai_tasks.providers.offline.notes_search import find_topics

TOPICS_QUOTED = 4
SENTENCES_QUOTED = {"beginner": 3, "intermediate": 5, "advanced": 9}


class GenerateExplanation(Handler):
    request_type = "generate_explanation"
    properties = {
        "topic": TOPIC_FIELD,
        "level": {
            "type": "string",
            "enum": list(SENTENCES_QUOTED),
            "description": "Who it is for.",
        },
        "context": CONTEXT_FIELD,
    }
    defaults = {"level": "beginner"}
    from_topic = "topic"
    applies_to = "explanation"
    quotes_notes_offline = True
    prompt = Prompt("generate_explanation", 2)

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Quote what the user's own notes say about the topic."""
        topic, level = data["topic"], data["level"]
        observer.progress(10, "Looking through your notes")
        found = find_topics(user_id=user_id, subject=topic, having="explanation", limit=TOPICS_QUOTED)
        if not found:
            content = f"Your notes say nothing about “{topic}” yet, and there is no AI model that could explain it."
            observer.progress(90, "Found nothing in your notes", content)
            notice = "No AI model is configured, and nothing in your notes matches."
            return text_answer(content, notice=notice, applicable=False)
        sections = [f"What your notes say about “{topic}”:"]
        observer.progress(40, f"Found {len(found)} matching topics", sections[0])
        for number, each in enumerate(found, 1):
            section = excerpt_section(
                each, sentences=SENTENCES_QUOTED[level], with_code=level != "beginner", subject=topic
            )
            sections.append(section)
            observer.progress(40 + 50 * number // len(found), f"Quoting “{each.title}”", f"\n\n{section}")
        return text_answer(
            "\n\n".join(sections),
            notice="No AI model is configured: this is quoted from your own notes.",
            sources=[source_of(each) for each in found],
        )
