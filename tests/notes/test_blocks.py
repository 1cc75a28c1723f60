"""The blocks of a topic: shown in pages, kept by every write, told to other apps."""

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import services
from notes.models import Note, Topic
from notes.services import text_hash
from tests.ai_tasks.conftest import in_threads
from tests.conftest import client_of
from tests.notes.topic_blocks import TEXT, blocks_of, without_blocks, write


@pytest.fixture
def topic(alice, make_note) -> Topic:
    """A topic of Alice's with ``TEXT``, beside another one."""
    topic = make_note(alice, 2, 1).chapters.first().topics.first()
    services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": TEXT})
    return Topic.objects.get(pk=topic.pk)


def path_of(topic) -> str:
    return f"/api/topics/{topic.pk}/blocks/"


def test_blocks_are_shown_in_their_order_and_are_the_text(alice_client, topic):
    response = alice_client.get(path_of(topic))

    assert response.status_code == 200
    assert list(response.json()) == ["next", "results"]
    results = response.json()["results"]
    assert [(row["order"], row["kind"], row["text"]) for row in results] == [
        (0, "heading", "# Loops\n\n"),
        (1, "paragraph", "A loop repeats its body.\n\n"),
        (2, "list", "- one\n- two\n\n"),
        (3, "code", "```py\nwhile True: ...\n```\n"),
    ]
    assert [list(row) for row in results] == [["id", "order", "kind", "text", "hash"]] * 4
    assert len({row["id"] for row in results}) == len({row["hash"] for row in results}) == 4
    assert response["ETag"] == alice_client.get(f"/api/topics/{topic.pk}/")["ETag"]


def test_an_empty_topic_has_no_blocks(alice, alice_client, topic):
    write(alice, topic, "")

    assert alice_client.get(path_of(topic)).json() == {"next": None, "results": []}


def test_what_a_client_has_already_is_a_304_until_the_note_changes(alice_client, topic, send):
    first = alice_client.get(path_of(topic))
    known = {"If-None-Match": first["ETag"]}

    assert alice_client.get(path_of(topic), headers=known).status_code == 304
    send(alice_client, "patch", f"/api/topics/{topic.pk}/", {"explanation": TEXT + "\nMore."})
    after = alice_client.get(path_of(topic), headers=known)

    assert after.status_code == 200
    assert [row["id"] for row in after.json()["results"]][:4] == [row["id"] for row in first.json()["results"]]
    assert after.json()["results"][4]["text"] == "More."


def test_pages_follow_each_other_and_hold_no_more_than_two_thousand(alice, alice_client, topic):
    write(alice, topic, "a\n\n" * 4500)

    pages, path = [], path_of(topic)
    while path:
        page = alice_client.get(path).json()
        pages.append(page["results"])
        path = page["next"]

    assert [len(page) for page in pages] == [2000, 2000, 500]
    assert [row["order"] for page in pages for row in page] == list(range(4500))
    assert len({row["id"] for page in pages for row in page}) == 4500
    assert "".join(row["text"] for page in pages for row in page) == "a\n\n" * 4500


def test_a_page_may_be_smaller(alice_client, topic):
    page = alice_client.get(f"{path_of(topic)}?page_size=3").json()
    rest = alice_client.get(page["next"]).json()

    assert [row["order"] for row in page["results"]] == [0, 1, 2]
    assert ([row["order"] for row in rest["results"]], rest["next"]) == ([3], None)
    assert "page_size=3" in page["next"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("page_size=0", "/page_size"), ("page_size=2001", "/page_size"), ("page_size=x", "/page_size"), ("x=1", "/x")],
)
def test_a_query_that_is_wrong_is_refused(alice_client, topic, query, pointer):
    response = alice_client.get(f"{path_of(topic)}?{query}")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, pointer)


def test_a_cursor_of_no_block_is_refused(alice, alice_client, topic):
    gone = list(blocks_of(alice, topic))[-1]
    write(alice, topic, "# Loops\n")

    for cursor in (gone, "x", "x" * 50):
        assert alice_client.get(f"{path_of(topic)}?cursor={cursor}").status_code == 400
    assert alice_client.get(f"{path_of(topic)}?cursor={gone}").json()["code"] == "invalid_cursor"


def test_a_stranger_sees_no_blocks_and_gives_a_topic_none(charlie_client, topic):
    without_blocks(topic)

    answer = charlie_client.get(path_of(topic), headers={"X-Request-ID": "same"})
    nothing = charlie_client.get(f"/api/topics/{2**62}/blocks/", headers={"X-Request-ID": "same"})

    assert (answer.status_code, answer.content) == (404, nothing.content)
    assert Topic.objects.get(pk=topic.pk).blocks is None


def test_a_topic_in_the_trash_shows_no_blocks_until_it_is_back(alice, alice_client, topic, send):
    before = blocks_of(alice, topic)
    note = f"/api/notes/{topic.chapter.note_id}/"
    send(alice_client, "delete", note)

    assert alice_client.get(path_of(topic)).status_code == 404
    send(alice_client, "post", f"{note}restore/")
    assert blocks_of(alice, topic) == before


@pytest.mark.parametrize("count", [1, 100, 2000])
def test_blocks_cost_one_query_however_many_there_are(alice, topic, count, warm, django_assert_num_queries):
    write(alice, topic, "a word\n\n" * count)
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(1):
        assert len(client.get(path_of(topic)).json()["results"]) == count


def test_neither_lists_nor_details_load_them(alice_client, topic, warm):
    warm(alice_client)
    for path in ("/api/notes/", f"/api/notes/{topic.chapter.note_id}/", f"/api/topics/?chapter={topic.chapter_id}"):
        with pytest.MonkeyPatch.context(), transaction.atomic():
            from django.test.utils import CaptureQueriesContext

            with CaptureQueriesContext(connection) as queries:
                assert alice_client.get(path).status_code == 200
        assert queries.captured_queries
        assert not any("blocks" in query["sql"] for query in queries.captured_queries)


class TestTopicsFromBefore:
    def test_the_first_get_gives_ids_that_stay_and_leaves_the_version(self, alice, alice_client, topic, warm):
        without_blocks(topic)
        version = Note.objects.get().version

        first = alice_client.get(path_of(topic)).json()

        assert "".join(row["text"] for row in first["results"]) == TEXT
        assert client_of(alice).get(path_of(topic)).json() == first
        assert list(blocks_of(alice, topic)) == [row["id"] for row in first["results"]]
        assert Note.objects.get().version == version

    @pytest.mark.parametrize("count", [1, 2000])
    def test_the_first_get_takes_a_fixed_number_of_statements(
        self, alice, topic, count, warm, django_assert_num_queries
    ):
        Topic.objects.filter(pk=topic.pk).update(explanation="a word\n\n" * count, blocks=None)
        client = client_of(alice)
        warm(client)

        with django_assert_num_queries(7):  # none found; a savepoint's two; the lock, none found, the text; the blocks
            assert len(client.get(path_of(topic)).json()["results"]) == count

    def test_the_first_write_gives_ids_to_its_topic(self, alice, topic):
        without_blocks(topic)

        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"code": "x"})

        assert Topic.objects.get(pk=topic.pk).blocks is not None
        assert "".join(blocks_of(alice, topic).values()) == TEXT

    def test_a_text_that_another_release_wrote_gets_new_ids(self, alice, topic):
        before = blocks_of(alice, topic)
        Topic.objects.filter(pk=topic.pk).update(explanation="written\n\nelsewhere")

        assert list(blocks_of(alice, topic).values()) == ["written\n\n", "elsewhere"]
        assert not blocks_of(alice, topic).keys() & before.keys()

    @pytest.mark.django_db(transaction=True)
    def test_requests_at_once_agree(self, alice, make_note):
        topic = make_note(alice, 1).chapters.get().topics.get()
        Topic.objects.update(explanation=TEXT, blocks=None)

        found = in_threads(8, lambda _: list(blocks_of(alice, topic)))

        assert len(found) == 8
        assert found.count(found[0]) == 8
        assert list(blocks_of(alice, topic)) == found[0]

    @pytest.mark.django_db(transaction=True)
    def test_a_write_at_the_same_time_keeps_the_ids_that_were_shown(self, alice, make_note):
        topic = make_note(alice, 1).chapters.get().topics.get()
        for _ in range(10):
            Topic.objects.update(explanation=TEXT, blocks=None)

            def read_or_write(number, topic=topic):
                return write(alice, topic, TEXT + "\nMore.") if number else list(blocks_of(alice, topic))

            shown = in_threads(2, read_or_write)[0]

            assert list(blocks_of(alice, topic))[:4] == shown[:4]
            assert "".join(blocks_of(alice, topic).values()) == TEXT + "\nMore."


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "insert", "delete", "move", "ai", "restore"]), st.integers(0, 99), st.integers(0, 99)
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
def test_any_series_of_writes_changes_no_other_blocks_ids(alice, make_note, edits):
    """A model of the text, in which each paragraph has a name, is edited along with the topic."""
    topic = make_note(alice, 1).chapters.get().topics.get()
    parts = [f"p{n} only{n} mine{n} word{n}" for n in range(4)]
    write(alice, topic, "\n\n".join(parts))
    known = list(blocks_of(alice, topic))
    gone: set[str] = set()
    states = []
    for step, (kind, first, second) in enumerate(edits, start=100):
        note = Note.objects.get(pk=topic.chapter.note_id)
        before = (parts.copy(), known.copy())
        at = first % len(parts) if parts else 0
        if kind == "insert" or not parts:
            parts.insert(at, f"p{step} only{step} mine{step} word{step}")
            known.insert(at, "?")
        elif kind in ("edit", "ai"):
            parts[at] += f" x{step}" if len(parts[at]) < 40 else ""
        elif kind == "delete":
            del parts[at]
            gone.add(known.pop(at))
        elif kind == "move":
            to = second % len(parts)
            parts.insert(to, parts.pop(at))
            known.insert(to, known.pop(at))
        elif states:
            version, parts, known = states[first % len(states)]
            parts, known = parts.copy(), known.copy()
            services.restore_version(user_id=alice.pk, note_id=note.pk, version=version)
        text = "\n\n".join(parts)
        if kind == "ai":
            old = Topic.objects.get(pk=topic.pk).explanation
            services.apply_ai_answer(
                user_id=alice.pk, topic_id=topic.pk, expected_hash=text_hash(old), explanation=text
            )
            states.append((note.version, *before))
        elif kind != "restore":
            write(alice, topic, text)

        blocks = blocks_of(alice, topic)
        assert "".join(blocks.values()) == Topic.objects.get(pk=topic.pk).explanation == text
        assert len(blocks) == len(parts)
        new = [found for found, expected in zip(blocks, known, strict=True) if expected == "?"]
        assert [found if expected != "?" else "?" for found, expected in zip(blocks, known, strict=True)] == known
        assert not gone & set(new)
        known = list(blocks)
