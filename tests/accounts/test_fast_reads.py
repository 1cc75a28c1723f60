"""Fast reads are answered without REST framework; whatever is wrong with a request is still its view's to say."""

import threading

import pytest

from tests.accounts.helpers import TARGETS
from tests.conftest import client_of
from tests.database_faults import locked, without_column
from tests.factories import NoteFactory, SessionFactory
from utils.admission.gate import Subject, admit
from utils.page_cache import fast_reads as pages
from utils.page_cache.invalidation import forget_pages_of
from utils.page_cache.keys import FILL_LOCK_SUFFIX, page_name
from utils.page_cache.lookup import store_page

pytestmark = pytest.mark.usefixtures("handled_by")


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("method", ["head", "options"])
def test_only_a_get_is_answered_without_django(alice_client, targets, name, method):
    got = alice_client.get(targets[name])

    answer = getattr(alice_client, method)(targets[name])

    assert (answer.status_code, "Allow" in answer) == (200, True)  # which REST framework alone tells
    assert "Allow" not in got


@pytest.mark.parametrize("name", TARGETS)
def test_a_client_that_has_the_answer_gets_a_304_without_django(alice_client, targets, name, without_django):
    etag = alice_client.get(targets[name])["ETag"]

    again = alice_client.get(targets[name], HTTP_IF_NONE_MATCH=etag)

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert again["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("name", TARGETS)
def test_a_fast_read_has_rate_limit_headers(alice_client, targets, name, without_django):
    limit = {"pending": "120", "task": "120"}.get(name, "60")

    first, second = alice_client.get(targets[name]), alice_client.get(targets[name])

    assert first["RateLimit-Limit"] == second["RateLimit-Limit"] == limit
    assert int(second["RateLimit-Remaining"]) == int(first["RateLimit-Remaining"]) - 1


@pytest.mark.parametrize("name", ["detail", "task"])
def test_a_stranger_gets_the_404_of_an_unknown_id(charlie_client, targets, name):
    answer = charlie_client.get(targets[name]).json()

    assert (answer["status"], answer["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", TARGETS)
def test_login_needs_no_authentication(client, targets, name):
    assert client.get(targets[name]).status_code == 401


def test_a_read_past_its_limit_is_refused_by_its_view(alice_client, targets, settings):
    rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "poll": "1/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    assert alice_client.get(targets["pending"]).status_code == 200

    refused = alice_client.get(targets["pending"])

    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")


def test_a_bad_filter_is_refused_by_its_view(alice_client):
    answer = alice_client.get("/api/notes/?status=lost").json()

    assert (answer["status"], answer["errors"][0]["pointer"]) == (400, "/status")


def test_a_reader_is_given_the_page_that_another_is_making(alice, targets, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("utils.page_cache.lookup._WAIT_SECONDS", 60)
    session = SessionFactory(user=alice)
    client = client_of(alice, session)
    client.get(targets["pending"])  # now the session is known
    name = page_name("/api/notes/", {"ordering": ["title"]})
    theirs = admit(Subject(alice.pk, session.pk, alice.token_version), page_name=name).page
    threading.Timer(0.2, store_page, [theirs.key], {"etag": "theirs", "body": b"[]", "ttl": 60}).start()

    with django_assert_num_queries(0):
        answer = client.get(targets["list"])

    assert theirs.outcome == "miss"
    assert (answer.content, answer["ETag"]) == (b"[]", '"theirs"')


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["list", "detail"])
def test_a_database_that_is_away_is_asked_once(
    alice_client, targets, name, warm, handled_by, django_assert_num_queries
):
    """An event loop's own connection asks, and after that no thread does."""
    warm(alice_client)
    by_thread = 0 if handled_by == "an event loop" else 1

    with locked("notes_note"), django_assert_num_queries(by_thread):
        answer = alice_client.get(targets[name])

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


@pytest.mark.django_db(transaction=True)
def test_an_unexpected_error_is_the_same_500_as_everywhere(alice_client, targets):
    alice_client.raise_request_exception = False

    with without_column("notes_note", "title"):
        answer = alice_client.get(targets["detail"])

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def test_parameters_that_a_detail_does_not_read_make_no_more_pages(alice_client, targets, django_assert_num_queries):
    alice_client.get(targets["detail"] + "?nonsense=1")

    with django_assert_num_queries(0):
        alice_client.get(targets["detail"] + "?nonsense=2")


def test_a_response_too_long_for_a_page_is_rendered_each_time_and_releases_its_fill_lock(
    alice_client, targets, monkeypatch, empty_redis, django_assert_num_queries
):
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 10)
    alice_client.get(targets["detail"])
    assert empty_redis.keys(f"*{FILL_LOCK_SUFFIX}") == []

    with django_assert_num_queries(2):
        assert alice_client.get(targets["detail"]).status_code == 200


@pytest.fixture
def note(alice_client) -> dict:
    """A note that is in the trash soon."""
    return alice_client.post("/api/notes/", {"title": "Loops"}, format="json").json()


@pytest.mark.django_db(transaction=True)
def test_that_there_is_nothing_is_found_out_once_and_told_until_the_user_writes(
    alice_client, charlie_client, note, django_assert_num_queries
):
    path = f"/api/notes/{note['id']}/"
    alice_client.delete(path)
    charlie_client.get("/api/notes/")
    for client in (alice_client, charlie_client):
        assert client.get(path).status_code == 404

        with django_assert_num_queries(0):
            again = client.get(path, HTTP_IF_NONE_MATCH="*")
        assert (again.status_code, again.json()["code"]) == (404, "not_found")

    assert alice_client.post(f"{path}restore/").status_code == 200

    assert alice_client.get(path).status_code == 200
    assert charlie_client.get(path).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_page_that_could_not_be_rendered_releases_its_fill_lock(alice_client, targets, warm, empty_redis):
    warm(alice_client)
    with locked("notes_note"):
        assert alice_client.get(targets["list"]).status_code == 503

    assert empty_redis.keys(f"*{FILL_LOCK_SUFFIX}") == []
    assert alice_client.get(targets["list"]).status_code == 200


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ("*", 304),
        ("{}", 304),
        ("W/{}", 304),
        ('"a", {}', 304),
        (", ".join(f'"{number}"' for number in range(9)) + ", {}", 304),
        (", ".join(f'"{number}"' for number in range(10)) + ", {}", 200),  # only so many are looked at
        ('"a"', 200),
    ],
)
def test_a_page_and_an_answer_that_is_made_agree_on_what_a_client_has(
    alice, alice_client, targets, tags, status, cached
):
    etag = alice_client.get(targets["list"])["ETag"]
    if not cached:
        forget_pages_of(alice.pk)

    assert alice_client.get(targets["list"], HTTP_IF_NONE_MATCH=tags.format(etag)).status_code == status


def test_a_304_says_nothing_of_a_body(alice_client, targets):
    etag = alice_client.get(targets["list"])["ETag"]

    answer = alice_client.get(targets["list"], HTTP_IF_NONE_MATCH=etag)

    assert answer.status_code == 304
    assert not {"Content-Type", "Content-Length"} & set(answer.headers)


def test_queries_of_other_bytes_have_other_pages(alice, alice_client):
    NoteFactory(user=alice, tags=["\u00e9"])

    found = alice_client.get("/api/notes/", QUERY_STRING="tags=\u00e9".encode().decode("latin-1"))
    others = alice_client.get("/api/notes/", QUERY_STRING="tags=%C3%83%C2%A9")

    assert (len(found.json()["results"]), others.json()["results"]) == (1, [])


@pytest.mark.parametrize("name", ["pending", "task"])
def test_a_head_counts_as_its_get_does(alice_client, targets, name):
    got, headed = alice_client.get(targets[name]), alice_client.head(targets[name])

    assert (got["RateLimit-Limit"], got["RateLimit-Remaining"]) == ("120", "119")
    assert (headed["RateLimit-Limit"], headed["RateLimit-Remaining"]) == ("120", "118")
