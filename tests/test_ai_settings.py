"""What the variables of AI may say that are documents: each mistake is named by its path."""

import json
import os
import subprocess
from decimal import Decimal

import pytest
from django.conf import settings as ours
from django.core.exceptions import ImproperlyConfigured

from NoteAssist_AI import env
from NoteAssist_AI.ai_settings import Fallback, Price
from tests.processes import BIN, RUN_SECONDS
from tests.test_settings import HTTP, PRODUCTION, read

__all__ = ["read"]  # the fixture

FALLBACK = {"name": "b", "base_url": "https://b.example.com/v1", "api_key": "hunter2", "model": "m"}
AMOUNT = 'an amount of US dollars as a string, as in "0.15"'
PARTS = 'an object with "name", "base_url", "model", perhaps "api_key", and nothing else'


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("AI_MODELS", {"default": 7}, "AI_MODELS.default", "the name of a model, of at most 100 characters"),
        ("AI_MODELS", {"a b hunter2": ""}, "AI_MODELS.(a name)", "the name of a model, of at most 100 characters"),
        ("AI_PRICES", {"m1": "hunter2"}, "AI_PRICES.m1", 'an object with "input" and "output" and nothing else'),
        ("AI_PRICES", {"m1": {"input": "1"}}, "AI_PRICES.m1", 'an object with "input" and "output" and nothing else'),
        ("AI_PRICES", {"m1": {"input": "1", "output": 2}}, "AI_PRICES.m1.output", AMOUNT),
        ("AI_PRICES", {"m1": {"input": "-1", "output": "2"}}, "AI_PRICES.m1.input", AMOUNT),
        ("AI_PRICES", {"m1": {"input": "NaN", "output": "2"}}, "AI_PRICES.m1.input", AMOUNT),
        ("AI_FALLBACKS", {}, "AI_FALLBACKS", "a list of at most 5 providers"),
        ("AI_FALLBACKS", [FALLBACK] * 6, "AI_FALLBACKS", "a list of at most 5 providers"),
        ("AI_FALLBACKS", [FALLBACK, FALLBACK], "AI_FALLBACKS[1].name",
         "a name of its own, and none of offline, openai_compatible"),
        ("AI_FALLBACKS", [{**FALLBACK, "name": "offline"}], "AI_FALLBACKS[0].name",
         "a name of its own, and none of offline, openai_compatible"),
        ("AI_FALLBACKS", [{**FALLBACK, "name": "a b"}], "AI_FALLBACKS[0].name",
         "up to 50 of A-Z a-z 0-9 _ . -, the first a letter or digit"),
        ("AI_FALLBACKS", [{**FALLBACK, "base_url": "https://hunter2@b/v1"}], "AI_FALLBACKS[0].base_url", HTTP),
        ("AI_FALLBACKS", [{**FALLBACK, "api_key": "hunter2 é"}], "AI_FALLBACKS[0].api_key", "ASCII without spaces"),
        ("AI_FALLBACKS", [{**FALLBACK, "key": "hunter2"}], "AI_FALLBACKS[0]", PARTS),
        ("AI_FALLBACKS", [{"name": "b"}], "AI_FALLBACKS[0]", PARTS),
        ("AI_FALLBACKS", [{**FALLBACK, "model": " "}], "AI_FALLBACKS[0].model",
         "the name of a model, of at most 100 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_document_is_named_by_its_path(read, name, value, path, expected):
    with pytest.raises(ImproperlyConfigured) as stop:
        read(**{**PRODUCTION, "AI_API_KEY": "sk-1", name: json.dumps(value)})

    assert str(stop.value) == f"{path} is wrong: expected {expected}."


def test_documents_mean_what_they_say(read):
    found = read(
        **PRODUCTION,
        AI_API_KEY="sk-1",
        AI_MODELS='{"default": "m1", "generate_code": "m2"}',
        AI_PRICES='{"m1": {"input": "0.15", "output": "0.60"}}',
        AI_FALLBACKS=json.dumps([FALLBACK, {"name": "c", "base_url": "http://127.0.0.1:1/v1/", "model": "m3"}]),
        AI_BUDGET_DAY="2.5",
    )

    assert found["AI_MODELS"] == {"default": "m1", "generate_code": "m2"}
    assert found["AI_PRICES"] == {"m1": Price(Decimal("0.15"), Decimal("0.60"))}
    assert found["AI_FALLBACKS"] == [Fallback(**FALLBACK), Fallback("c", "http://127.0.0.1:1/v1", "", "m3")]
    assert "hunter2" not in repr(found["AI_FALLBACKS"])
    assert (found["AI_BUDGET_DAY"], found["AI_BUDGET_PER_USER_DAY"]) == (Decimal("2.5"), None)


def test_fallbacks_need_a_provider_before_them(read):
    with pytest.raises(ImproperlyConfigured, match=r"^AI_API_KEY is not set: expected a key, or AI_BASE_URL"):
        read(**PRODUCTION, AI_FALLBACKS=json.dumps([FALLBACK]))


def test_embeddings_need_a_model_and_somebody_to_ask(read):
    found = read(**PRODUCTION, EMBEDDINGS_API_KEY="sk-1", EMBEDDINGS_MODEL="e1", EMBEDDINGS_MIN_SIMILARITY="0.45")
    assert (found["EMBEDDINGS_ARE_ON"], found["EMBEDDINGS_MIN_SIMILARITY"]) == (True, 0.45)
    assert not read(**PRODUCTION)["EMBEDDINGS_ARE_ON"]
    with pytest.raises(ImproperlyConfigured, match=r"^EMBEDDINGS_MODEL is not set: expected a model of embeddings"):
        read(**PRODUCTION, EMBEDDINGS_BASE_URL="http://127.0.0.1:1/v1")
    with pytest.raises(ImproperlyConfigured, match=r"^EMBEDDINGS_API_KEY is not set: expected a key, or EMBEDDINGS_"):
        read(**PRODUCTION, EMBEDDINGS_MODEL="e1")


def test_a_model_for_a_request_type_that_is_none_ends_every_process():
    environment = {**os.environ, **PRODUCTION, "DJANGO_SETTINGS_MODULE": "NoteAssist_AI.settings"}
    environment["AI_MODELS"] = '{"sumarize": "m1"}'

    ended = subprocess.run(
        [BIN / "python", "manage.py", "check"],
        env=environment, cwd=ours.BASE_DIR, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip

    assert ended.returncode == env.BOOT_FAILED
    assert ended.stderr.startswith(
        "The environment is not right:\nAI_MODELS.sumarize is wrong: expected default or a request type:"
    )
    assert "Traceback" not in ended.stderr
