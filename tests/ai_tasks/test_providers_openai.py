"""The OpenAI-compatible provider against a real HTTP server."""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai_tasks.providers import openai_compatible
from ai_tasks.providers.base import MAX_ANSWER_BYTES
from ai_tasks.providers.errors import ProviderRefused, ProviderUnavailable, UnusableAnswer
from ai_tasks.providers.openai_compatible import parameters
from ai_tasks.providers.openai_compatible.http import make_client
from tests.ai_tasks.conftest import Hasty, Recorder, Stop
from tests.openai_behaviours import BEHAVIOURS, COMPLETION_TOKENS, MODEL, PROMPT_TOKENS, RETRY_AFTER_SECONDS
from tests.openai_server import ANSWER, OpenAIServer, running_server
from tests.processes import RUN_SECONDS, wait_until

MESSAGES = [{"role": "system", "content": "Explain."}, {"role": "user", "content": "Python loops"}]


def complete(observer: Recorder, behaviour: str, server: OpenAIServer):
    server.state.default = behaviour
    return openai_compatible.complete(MESSAGES, observer)


# --- Answers ----------------------------------------------------------------------------------------------------------


def test_a_streamed_answer_comes_with_the_providers_own_count_of_tokens(openai_server, observer):
    completion = complete(observer, "stream", openai_server)

    assert completion.text == ANSWER
    assert completion.model == MODEL
    assert (completion.input_tokens, completion.output_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert completion.usage_estimated is False
    assert "".join(observer.deltas) == ANSWER
    assert len(observer.deltas) > 5
    assert observer.percents == sorted(set(observer.percents))
    assert 10 <= observer.percents[0] < observer.percents[-1] <= 90


def test_the_request_carries_model_messages_and_key(openai_server, observer):
    complete(observer, "stream", openai_server)

    (request,) = openai_server.state.requests
    assert request["body"] == {
        "model": MODEL,
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request["headers"]["authorization"] == "Bearer test-key"
    assert request["headers"]["accept-encoding"] == "identity"


def test_a_server_that_needs_no_key_gets_no_key_from_elsewhere(openai_server, observer, settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "somebody-elses")
    settings.AI_API_KEY = ""

    complete(observer, "stream", openai_server)

    assert "authorization" not in openai_server.state.requests[0]["headers"]


def test_proxies_of_the_environment_are_not_used(openai_server, observer, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    make_client.cache_clear()

    assert complete(observer, "stream", openai_server).text == ANSWER


@pytest.mark.parametrize("behaviour", ["no_usage", "json", "refuse_stream_options"])
def test_where_the_provider_counts_no_tokens_they_are_guessed_and_marked_so(openai_server, observer, behaviour):
    completion = complete(observer, behaviour, openai_server)

    assert completion.text == ANSWER
    assert completion.usage_estimated is True
    assert completion.input_tokens == 2 + 3  # a token for each four bytes of each message, rounded up
    assert completion.output_tokens == -(-len(ANSWER) // 4)


def test_a_server_that_refuses_stream_options_is_asked_without_them_from_then_on(openai_server, observer):
    for _ in range(2):
        complete(observer, "refuse_stream_options", openai_server)

    assert ["stream_options" in request["body"] for request in openai_server.state.requests] == [True, False, False]


def refusing(*names: str, accepts: str = ""):
    """A server that refuses parameters one at a time, in OpenAI's words."""

    def behave(handler, body) -> None:
        for name in names:
            if name in body:
                hint = f" Use '{accepts}' instead." if accepts else ""
                handler.refuse(400, f"Unsupported parameter: '{name}' is not supported with this model.{hint}")
                return
        BEHAVIOURS["stream"](handler, body)

    return behave


def test_each_refused_parameter_is_left_out_or_named_as_the_server_wants_it(openai_server, observer, monkeypatch):
    refuse = refusing("temperature", "response_format", "max_tokens", accepts="max_completion_tokens")
    monkeypatch.setitem(BEHAVIOURS, "picky", refuse)
    openai_server.state.default = "picky"
    options = {"temperature": 0.2, "max_tokens": 700, "response_format": {"type": "json_object"}}

    for _ in range(2):
        assert openai_compatible.complete(MESSAGES, observer, options).text == ANSWER

    bodies = [request["body"] for request in openai_server.state.requests]
    assert len(bodies) == 3 + 2
    for body in bodies[3:]:
        assert set(body) == {"model", "messages", "stream", "stream_options", "max_completion_tokens"}
        assert body["max_completion_tokens"] == 700


def test_what_a_server_refuses_is_known_of_that_server_and_model_only(openai_server, observer, settings):
    complete(observer, "refuse_stream_options", openai_server)
    settings.AI_MODEL = "another-model"
    complete(observer, "refuse_stream_options", openai_server)

    assert ["stream_options" in request["body"] for request in openai_server.state.requests] == [True, False] * 2


def test_the_memory_of_refused_parameters_is_bounded():
    for number in range(parameters.MAX_SERVERS + 1):
        parameters.remember("temperature", (f"http://server-{number}/v1", MODEL))

    options = {"temperature": 0.2}
    assert parameters.fitting(options, ("http://server-0/v1", MODEL)) == options
    assert parameters.fitting(options, ("http://server-1/v1", MODEL)) == {}
    parameters.forget()


def test_a_query_in_the_base_url_stays_at_the_end(openai_server, observer, settings):
    settings.AI_BASE_URL += "?api-version=1"

    assert complete(observer, "stream", openai_server).text == ANSWER


def test_null_characters_are_dropped(openai_server, observer):
    assert complete(observer, "nul", openai_server).text == "A loop ends."
    assert "".join(observer.deltas) == "A loop ends."


def test_a_surrogate_pair_cut_in_two_is_joined_and_a_lone_half_is_replaced(openai_server, observer):
    assert (
        complete(observer, "surrogates", openai_server).text == "Smile \N{GRINNING FACE} \N{REPLACEMENT CHARACTER} end."
    )


def test_many_threads_share_the_client_and_each_hears_its_own_observer(openai_server):
    openai_server.state.default = "slow"
    openai_server.state.slow_seconds = 0.01
    stopping, *going_on = [Recorder() for _ in range(12)]
    stopping.stop_after_deltas = 2

    def call(observer: Recorder) -> str:
        try:
            return openai_compatible.complete(MESSAGES, observer).text
        except Stop:
            return "stopped"

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(call, [stopping, *going_on])) == ["stopped", *[ANSWER] * 11]


# --- Failures worth another attempt -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("408", "provider_timeout"),
        ("429", "provider_rate_limited"),
        ("500", "provider_failed"),
        ("502", "provider_failed"),
        ("503", "provider_overloaded"),
        ("huge_error", "provider_failed"),
        ("error_event", "provider_overloaded"),
        ("drop", "provider_unreachable"),
        ("cut", "provider_connection_lost"),
    ],
)
def test_a_failure_that_may_pass_is_worth_another_attempt(openai_server, observer, behaviour, code):
    with pytest.raises(ProviderUnavailable) as failure:
        complete(observer, behaviour, openai_server)

    assert failure.value.code == code
    assert "Vendor" not in failure.value.detail


def test_the_call_itself_tries_only_once(openai_server, observer):
    with pytest.raises(ProviderUnavailable):
        complete(observer, "500", openai_server)

    assert len(openai_server.state.requests) == 1


def test_retry_after_in_seconds_is_passed_on(openai_server, observer):
    with pytest.raises(ProviderUnavailable) as failure:
        complete(observer, "429", openai_server)

    assert failure.value.retry_after == RETRY_AFTER_SECONDS


def test_retry_after_as_a_date_is_passed_on_as_seconds(openai_server, observer):
    with pytest.raises(ProviderUnavailable) as failure:
        complete(observer, "429_date", openai_server)

    assert 60 < failure.value.retry_after <= 90


def test_without_retry_after_none_is_made_up(openai_server, observer):
    with pytest.raises(ProviderUnavailable) as failure:
        complete(observer, "503", openai_server)

    assert failure.value.retry_after is None


def test_a_server_that_is_not_there_is_unreachable(observer, settings):
    with running_server() as server:
        settings.AI_BASE_URL = server.base_url

    with pytest.raises(ProviderUnavailable) as failure:
        openai_compatible.complete(MESSAGES, observer)

    assert failure.value.code == "provider_unreachable"


# --- Final failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("400", "provider_rejected"),
        ("413", "provider_context_too_long"),
        ("422", "provider_rejected"),
        ("401", "provider_key_invalid"),
        ("403", "provider_key_invalid"),
        ("404", "provider_misconfigured"),
        ("redirect", "provider_misconfigured"),
    ],
)
def test_a_refusal_is_final(openai_server, observer, behaviour, code):
    with pytest.raises(ProviderRefused) as failure:
        complete(observer, behaviour, openai_server)

    assert failure.value.code == code
    assert "Vendor" not in failure.value.detail
    assert len(openai_server.state.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("garbage", "answer_unreadable"),
        ("garbage_json", "answer_unreadable"),
        ("garbage_event", "answer_unreadable"),
        ("odd_event", "answer_unreadable"),
        ("deep_event", "answer_unreadable"),
        ("compressed", "answer_unreadable"),
        ("empty", "answer_empty"),
        ("refusal", "answer_refused"),
        ("filtered", "answer_refused"),
        ("length", "answer_cut"),
        ("cut_cleanly", "answer_cut"),
        ("huge", "answer_too_large"),
        ("huge_event", "answer_too_large"),
        ("huge_document", "answer_too_large"),
    ],
)
def test_an_answer_that_nothing_can_be_made_of_is_final(openai_server, observer, behaviour, code):
    with pytest.raises(UnusableAnswer) as failure:
        complete(observer, behaviour, openai_server)

    assert failure.value.code == code


@pytest.mark.parametrize(("behaviour", "is_told"), [("huge", True), ("huge_event", False), ("huge_document", False)])
def test_ten_megabytes_are_not_read_to_their_end(openai_server, observer, behaviour, is_told):
    with pytest.raises(UnusableAnswer) as failure:  # kept, with all that its traceback keeps alive
        complete(observer, behaviour, openai_server)

    told = sum(map(len, observer.deltas))
    assert told <= MAX_ANSWER_BYTES
    assert (told > 0) is is_told
    wait_until(lambda: openai_server.state.hung_up == 1)
    assert failure.value.code == "answer_too_large"


def test_the_log_names_the_vendors_status_but_repeats_no_vendor_text(openai_server, observer, caplog):
    with caplog.at_level(logging.INFO), pytest.raises(ProviderRefused):
        complete(observer, "401", openai_server)

    assert "The AI provider answered 401 ('test', 'vendor_401')." in caplog.text
    assert "Vendor text" not in caplog.text


# --- Ending a call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["hang", "hang_midway"])
def test_a_silent_call_ends_when_its_observer_says_so_and_hangs_up(openai_server, observer, behaviour):
    observer.stop_when = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(complete, observer, behaviour, openai_server)
        wait_until(lambda: bool(openai_server.state.requests))
        observer.stop_when.set()
        with pytest.raises(Stop):
            call.result(timeout=60)

    wait_until(lambda: openai_server.state.hung_up == 1)


def test_a_stop_between_two_chunks_hangs_up_too(openai_server, observer):
    openai_server.state.slow_seconds = 0.01
    observer.stop_after_deltas = 2

    with pytest.raises(Stop):
        complete(observer, "slow", openai_server)

    assert len(observer.deltas) == 2
    wait_until(lambda: openai_server.state.hung_up == 1)


@pytest.mark.parametrize("behaviour", ["hang", "hang_midway", "drip"])
def test_the_deadline_ends_a_call_even_if_a_byte_comes_now_and_then(openai_server, behaviour):
    with pytest.raises(ProviderUnavailable) as failure:
        complete(Hasty(openai_server.state.requests), behaviour, openai_server)

    assert failure.value.code == "provider_timeout"
    wait_until(lambda: openai_server.state.hung_up == 1)


def test_a_call_past_its_deadline_does_not_even_connect(openai_server):
    with pytest.raises(ProviderUnavailable):
        complete(Recorder(seconds=-1), "stream", openai_server)

    assert openai_server.state.requests == []


# --- The HTTP client --------------------------------------------------------------------------------------------------


def test_the_http_client_is_not_imported_until_a_model_is_asked():
    program = (
        "import django, sys; django.setup(); import ai_tasks.answering; from ai_tasks.providers import load_provider; "
        "assert 'httpx2' not in sys.modules; load_provider('openai_compatible'); assert 'httpx2' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=RUN_SECONDS)
