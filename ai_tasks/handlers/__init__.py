"""The request types, one module each. A new one is a module, a prompt, a line here and a choice of ``AITask``.

A request type that writes data of a higher app is in that app, which registers it in its ``AppConfig.ready``.
"""

from ai_tasks.handlers.ask import Ask
from ai_tasks.handlers.base import Handler
from ai_tasks.handlers.generate_code import GenerateCode
from ai_tasks.handlers.generate_explanation import GenerateExplanation
from ai_tasks.handlers.improve_explanation import ImproveExplanation
from ai_tasks.handlers.summarize import Summarize

HANDLERS: dict[str, Handler] = {
    handler.request_type: handler
    for handler in (
        GenerateExplanation(),
        ImproveExplanation(),
        Summarize(),
        GenerateCode(),
        Ask(),
    )
}


def register(handler: Handler) -> None:
    """Add the request type of a higher app."""
    HANDLERS[handler.request_type] = handler
