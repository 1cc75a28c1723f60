"""Servers of embeddings: what is believed of their answers, and how they fail."""

import math

import pytest

from ai_tasks.providers import embedding_endpoint, load_embedding_provider
from ai_tasks.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnusableAnswer
from tests.ai_tasks.conftest import EMBEDDING_MODEL, Hasty, Recorder, Stop
from tests.embedding_behaviours import DIMENSION, EMBEDDINGS, REFUSED, TOKENS_EACH, meaning

TEXTS = ["A car drives.", "A kitten purrs, purr purr.", "Nothing of the kind."]


def embed(texts=TEXTS, observer=None):
    return load_embedding_provider().embed(texts, observer or Recorder(), endpoint=embedding_endpoint())


def test_each_text_gets_a_vector_of_length_1_in_its_direction(embeddings):
    answer = embed()

    assert (answer.dimension, answer.input_tokens, answer.usage_estimated) == (DIMENSION, 3 * TOKENS_EACH, False)
    for vector, text in zip(answer.vectors, TEXTS, strict=True):
        length = math.dist(meaning(text), [0.0] * DIMENSION)
        assert vector == pytest.approx([number / length for number in meaning(text)])
    assert embeddings.state.embedded == [TEXTS]
    assert embeddings.state.embedding_headers[0]["authorization"] == "Bearer embedding-key"


def test_the_model_is_the_configured_one_and_nothing_is_asked_for_besides(embeddings, monkeypatch):
    bodies = []
    monkeypatch.setitem(
        EMBEDDINGS, "seen", lambda handler, body: bodies.append(body) or EMBEDDINGS["ok"](handler, body)
    )
    embeddings.state.embedding_default = "seen"

    embed(["x"])

    assert bodies == [{"model": EMBEDDING_MODEL, "input": ["x"]}]


def test_vectors_belong_to_the_texts_that_the_server_says(embeddings):
    in_order = embed().vectors
    embeddings.state.embedding_script.append("backwards")

    answer = embed()

    assert answer.vectors == in_order
    assert answer.usage_estimated
    assert answer.input_tokens == sum(math.ceil(len(text) / 4) for text in TEXTS)


@pytest.mark.parametrize(
    "behaviour",
    [
        "too_few",
        "same_place",
        "unequal",
        "nan",
        "zero",
        "empty",
        "huge",
        "infinite",
        "texts",
        "truths",
        "base64",
        "page",
    ],
)
def test_rubbish_is_no_answer(embeddings, behaviour):
    embeddings.state.embedding_script.append(behaviour)

    with pytest.raises(UnusableAnswer) as failed:
        embed()

    assert failed.value.code == "answer_unreadable"


@pytest.mark.parametrize(
    ("behaviour", "failure", "code"),
    [
        ("400", ProviderRefused, "provider_rejected"),
        ("401", ProviderRefused, "provider_key_invalid"),
        ("404", ProviderRefused, "provider_model_unknown"),
        ("429", ProviderUnavailable, "provider_rate_limited"),
        ("500", ProviderUnavailable, "provider_failed"),
        ("cut", ProviderUnavailable, "provider_connection_lost"),
        ("error_in_200", ProviderUnavailable, "provider_overloaded"),
    ],
)
def test_a_failure_is_told_as_those_of_answers_are(embeddings, behaviour, failure, code):
    embeddings.state.embedding_script.append(behaviour)

    with pytest.raises(failure) as failed:
        embed()

    assert failed.value.code == code
    assert "Vendor" not in failed.value.detail


def test_a_text_that_is_too_long_is_told_from_other_failures(embeddings):
    with pytest.raises(ProviderRefused) as failed:
        embed([*TEXTS, REFUSED])

    assert failed.value.code == "provider_context_too_long"


def test_nobody_waits_beyond_the_deadline(embeddings):
    embeddings.state.embedding_script.append("hang")

    with pytest.raises(ProviderUnavailable) as failed:
        embed(observer=Hasty(embeddings.state.embedding_headers))

    assert failed.value.code == "provider_timeout"


def test_a_call_ends_when_its_worker_is_to_end(embeddings):
    embeddings.state.embedding_script.append("hang")
    observer = Recorder()
    observer.stop_after_deltas = 0

    with pytest.raises(Stop):
        embed(observer=observer)


def test_a_server_that_is_not_there_is_unreachable(embeddings, settings):
    settings.EMBEDDINGS_BASE_URL = "http://127.0.0.1:1/v1"

    with pytest.raises(ProviderError) as failed:
        embed()

    assert failed.value.code == "provider_unreachable"


def test_nobody_is_asked_unless_somebody_is_configured():
    assert embedding_endpoint() is None
