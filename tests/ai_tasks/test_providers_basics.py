"""Which provider answers, and the small parts that every provider leans on."""

from datetime import UTC, datetime

import httpx2
import pytest
import time_machine

from ai_tasks.providers import configured_model, configured_provider, load_provider
from ai_tasks.providers.openai_compatible.asking import CleanText
from ai_tasks.providers.openai_compatible.retry_after import MAX_SECONDS, seconds_to_wait, wait_in_words, wait_of


@pytest.mark.parametrize(
    ("key", "url", "provider", "model"),
    [
        ("", "", "offline", None),
        ("sk-1", "", "openai_compatible", "a-model"),
        ("", "http://127.0.0.1:11434/v1", "openai_compatible", "a-model"),
        ("sk-1", "https://api.groq.com/openai/v1", "openai_compatible", "a-model"),
    ],
)
def test_a_key_or_a_server_of_ones_own_calls_for_a_model(settings, key, url, provider, model):
    settings.AI_API_KEY, settings.AI_BASE_URL, settings.AI_MODEL = key, url, "a-model"

    assert configured_provider() == provider
    assert configured_model() == model


def test_a_provider_is_a_module_that_completes():
    assert callable(load_provider("openai_compatible").complete)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("inf", MAX_SECONDS),
        ("999999", MAX_SECONDS),
        ("Mon, 23 Nov 2026 10:01:30 GMT", 90.0),
        ("Mon, 23 Nov 2026 10:01:30 -0000", 90.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        ("Mon, 23 Nov 9999 10:00:00 GMT", MAX_SECONDS),
        ("Mon, 99 Nov 2026 10:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_beyond_an_hour(header, seconds):
    with time_machine.travel(datetime(2026, 11, 23, 10, 0, tzinfo=UTC), tick=False):
        assert seconds_to_wait(header) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
    ],
)
def test_milliseconds_are_the_more_exact_word(headers, seconds):
    assert wait_of(httpx2.Headers(headers)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 20s.", 20.0),
        ("Please try again in 500ms.", 0.5),
        ("Please retry in 36.3s.", 36.3),
        ("Try again in 1m26.5s", 86.5),
        ("Retry after 2 minutes", 120.0),
        ("Please wait 12 seconds", 12.0),
        ("try again in 2h5m", MAX_SECONDS),
        ("Please try again later.", None),
        ("Rate limit reached: 60 requests per minute", None),
    ],
)
def test_a_wait_in_words_is_understood(text, seconds):
    assert wait_in_words(text) == seconds


def test_half_a_surrogate_pair_at_the_end_of_an_answer_is_replaced():
    text = CleanText()

    assert text.add("end \ud83d") == "end "
    assert text.add("", final=True) == "\N{REPLACEMENT CHARACTER}"
