"""Improve a text of the user's."""

from typing import Any

from ai_tasks.handlers.base import (
    CONTENT_FIELD,
    INSTRUCTIONS_MAX_LENGTH,
    Handler,
    OfflineAnswer,
    text_answer,
    text_field,
)
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Observer
from ai_tasks.providers.offline.edit import edited


class ImproveExplanation(Handler):
    request_type = "improve_explanation"
    properties = {
        "content": CONTENT_FIELD,
        "instructions": text_field(
            "Wishes for tone, length, focus or form; they need a model.", max_length=INSTRUCTIONS_MAX_LENGTH
        ),
    }
    from_topic = "content"
    applies_to = "explanation"
    prompt = Prompt("improve_explanation", 2)

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Edit the form: spacing, headings, lists, typos, long paragraphs; list the terms that the text defines."""
        observer.progress(10, "Reading the text")
        content, changes = edited(data["content"])
        observer.progress(70, "Edited the text", content)
        edits = ", ".join(f"{kind} ({count})" for kind, count in sorted(changes.items()))
        notice = "No AI model is configured: only the form was edited, by fixed rules. "
        notice += f"Changed: {edits}." if edits else "There was nothing to change."
        if "instructions" in data:
            notice += " Your instructions were not followed: they need a model."
        observer.progress(90, "Finishing")
        return text_answer(content, notice=notice)
