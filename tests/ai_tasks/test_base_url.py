"""What ``manage.py doctor`` says of the address of the AI provider."""

import pytest

from ai_tasks.diagnosis import address


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434/v1",
        "https://api.groq.com/openai/v1/",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ],
)
def test_the_doctor_accepts_a_valid_base_url(url):
    assert [is_well for is_well, _ in address(url)] == [True, True, True]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://127.0.0.1:11434", "/v1"),
        ("https://models.example.com/api", "/v1"),
        ("https://key:secret@models.example.com/v1?key=secret", "query"),
        ("https://models.example.com/v1/chat/completions", "/chat/completions"),
    ],
)
def test_the_doctor_reports_an_unusable_base_url_without_its_secrets(url, word):
    (text,) = [text for is_well, text in address(url) if not is_well]

    assert "AI_BASE_URL" in text
    assert word in text
    assert "secret" not in text
