"""Who answers AI requests.

``openai_compatible`` does as soon as ``AI_API_KEY`` or ``AI_BASE_URL`` is set: a server of one's own (Ollama, vLLM,
llama.cpp) needs no key. With neither, answers are made ``offline``, from the user's own text and notes.
"""

from importlib import import_module
from typing import cast

from django.conf import settings

from ai_tasks.providers.base import Provider

OFFLINE = "offline"
OPENAI_COMPATIBLE = "openai_compatible"

_MODULES = {OPENAI_COMPATIBLE: "ai_tasks.providers.openai_compatible"}


def configured_provider() -> str:
    """The name of the provider that answers, as tasks record it."""
    return OPENAI_COMPATIBLE if settings.AI_API_KEY or settings.AI_BASE_URL else OFFLINE


def configured_model() -> str | None:
    """The model that answers; None offline. Part of what makes two requests equal."""
    return None if configured_provider() == OFFLINE else settings.AI_MODEL


def load_provider(name: str) -> Provider:
    """The module of a provider, imported on first use: an SDK takes 39 MB, which only workers should pay for."""
    return cast(Provider, import_module(_MODULES[name]))
