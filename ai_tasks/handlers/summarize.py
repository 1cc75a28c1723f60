"""Summarize a text."""

from typing import Any

from ai_tasks.handlers.base import CONTENT_FIELD, Handler, OfflineAnswer, text_answer
from ai_tasks.prompts import Prompt
from ai_tasks.providers.base import Observer
from ai_tasks.providers.offline.extract import summary_of

SHARE_AND_MOST_SENTENCES = {"short": (0.2, 3), "medium": (0.35, 7), "long": (0.5, 20)}


class Summarize(Handler):
    request_type = "summarize"
    properties = {
        "content": CONTENT_FIELD,
        "length": {
            "type": "string",
            "enum": list(SHARE_AND_MOST_SENTENCES),
            "description": "How long the summary is.",
        },
    }
    defaults = {"length": "medium"}
    from_topic = "content"
    applies_to = None
    prompt = Prompt("summarize", 2)

    def offline(self, data: dict[str, Any], *, user_id: int, observer: Observer) -> OfflineAnswer:
        """Pick the most important sentences of the text, verbatim and in order."""
        observer.progress(10, "Reading the text")
        share, at_most = SHARE_AND_MOST_SENTENCES[data["length"]]
        parts = summary_of(data["content"], share=share, at_most=at_most, with_headings=data["length"] == "long")
        observer.progress(30, "Weighed the sentences")
        notice = "No AI model is configured: these are sentences of the text itself, picked by fixed rules."
        if not parts:
            parts = ["This text has no sentences to pick a summary from."]
            notice = "No AI model is configured, and the text has no sentences."
        for number, part in enumerate(parts, 1):
            lead = "" if number == 1 else "\n\n"
            observer.progress(30 + 60 * number // len(parts), "Picking sentences", lead + part)
        return text_answer("\n\n".join(parts), notice=notice, applicable=False)
