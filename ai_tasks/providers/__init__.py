"""Chooses the provider that answers AI requests.

With ``AI_API_KEY`` or ``AI_BASE_URL`` set it is ``openai_compatible``; a self-hosted server (Ollama, vLLM, llama.cpp)
needs no key. ``AI_FALLBACKS`` adds more endpoints of that kind. With neither set it is ``offline``, which answers from
the user's own text and notes.
"""

from importlib import import_module
from typing import cast

from django.conf import settings

from ai_tasks.model_names import DEFAULT
from ai_tasks.providers.base import EmbeddingProvider, Endpoint, Provider

OFFLINE = "offline"
OPENAI_COMPATIBLE = "openai_compatible"
EMBEDDINGS = "embeddings"
"""The name of the embeddings provider in metrics."""

_OPENAI_BASE_URL = "https://api.openai.com/v1"
_MODULES = {OPENAI_COMPATIBLE: "ai_tasks.providers.openai_compatible"}


def configured_provider() -> str:
    """The name of the primary provider, as tasks record it."""
    return OPENAI_COMPATIBLE if settings.AI_API_KEY or settings.AI_BASE_URL else OFFLINE


def configured_model(request_type: str = DEFAULT) -> str | None:
    """The configured model for a request type; None offline. Part of the key that makes two requests equal."""
    return None if configured_provider() == OFFLINE else model_of(request_type)


def model_of(request_type: str) -> str:
    models = settings.AI_MODELS
    return models.get(request_type) or models.get(DEFAULT) or settings.AI_MODEL


def endpoints_of(request_type: str) -> list[Endpoint]:
    """The endpoints to try, in this order; empty offline."""
    if configured_provider() == OFFLINE:
        return []
    first = Endpoint(
        name=OPENAI_COMPATIBLE,
        base_url=settings.AI_BASE_URL or _OPENAI_BASE_URL,
        api_key=settings.AI_API_KEY,
        model=model_of(request_type),
    )
    others = [
        Endpoint(name=each.name, base_url=each.base_url, api_key=each.api_key, model=each.model)
        for each in settings.AI_FALLBACKS
    ]
    return [first, *others]


def provider_names() -> list[str]:
    """The names of all configured providers; empty offline."""
    return [endpoint.name for endpoint in endpoints_of(DEFAULT)]


def load_provider(name: str) -> Provider:
    """The module of a provider, imported on first use, so that only workers load the HTTP client into memory."""
    return cast(Provider, import_module(_MODULES[name]))


def embedding_endpoint() -> Endpoint | None:
    """The endpoint for embeddings; None if they are off."""
    if not settings.EMBEDDINGS_ARE_ON:
        return None
    return Endpoint(
        name=EMBEDDINGS,
        base_url=settings.EMBEDDINGS_BASE_URL or _OPENAI_BASE_URL,
        api_key=settings.EMBEDDINGS_API_KEY,
        model=settings.EMBEDDINGS_MODEL,
    )


def load_embedding_provider() -> EmbeddingProvider:
    """Like :func:`load_provider`, for embeddings."""
    return cast(EmbeddingProvider, import_module(f"{_MODULES[OPENAI_COMPATIBLE]}.embeddings"))
