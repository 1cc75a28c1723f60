"""The blocks of a topic: shown in pages, kept by every write, told to other apps."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import services
from notes.blocks.changes import off_blocks_changed, on_blocks_changed
from notes.models import Note, NoteVersion, Topic
from notes.services import text_hash
from notes.snapshots import whole_snapshot
from tests.ai_tasks.conftest import in_threads
from tests.conftest import client_of

TEXT = "# Loops\n\nA loop repeats its body.\n\n- one\n- two\n\n```py\nwhile True: ...\n```\n"


@pytest.fixture
def topic(alice, make_note) -> Topic:
    """A topic of Alice's with ``TEXT``, beside another one."""
    topic = make_note(alice, 2, 1).chapters.first().topics.first()
    services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": TEXT})
    return Topic.objects.get(pk=topic.pk)


@pytest.fixture
def told() -> Iterator[list]:
    """What an app that asked for changes of blocks was told."""
    calls: list = []

    def hear(topic_ids, changed, removed):
        assert connection.in_atomic_block
        calls.append((list(topic_ids), {key: block.text for key, block in changed.items()}, list(removed)))

    on_blocks_changed(hear)
    yield calls
    off_blocks_changed(hear)


def path_of(topic) -> str:
    return f"/api/topics/{topic.pk}/blocks/"


def blocks_of(user, topic) -> dict[str, str]:
    """Each block's text by its id, in their order."""
    return {block.id: block.text for block in services.get_blocks(user_id=user.pk, topic_id=topic.pk).blocks}


def write(user, topic, text) -> None:
    services.update_topic(user_id=user.pk, topic_id=topic.pk, changes={"explanation": text})


def without_blocks(topic) -> None:
    """As a topic from before there were blocks."""
    Topic.objects.filter(pk=topic.pk).update(blocks=None)


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


class TestWrites:
    def test_an_edit_keeps_ids_and_tells_what_changed(self, alice, topic, told):
        before = list(blocks_of(alice, topic))

        write(alice, topic, TEXT.replace("its body", "its whole body").replace("- one\n- two\n\n", "") + "\nNew.")

        after = blocks_of(alice, topic)
        assert list(after)[:3] == [before[0], before[1], before[3]]
        assert list(after)[3] not in before
        # The last block is changed, too: it has a blank line after it now.
        assert told == [
            (
                [topic.pk],
                {before[1]: "A loop repeats its whole body.\n\n", before[3]: "```py\nwhile True: ...\n```\n\n"},
                [before[2]],
            )
        ]

    @pytest.mark.parametrize("changes", [{"title": "x"}, {"code": "x"}, {"explanation": TEXT, "code": "y"}])
    def test_a_write_that_leaves_the_explanation_leaves_them_and_tells_nothing(self, alice, topic, told, changes):
        before = topic.blocks

        services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes=changes)

        assert (Topic.objects.get(pk=topic.pk).blocks, told) == (before, [])

    def test_new_topics_have_theirs_and_nothing_to_tell(self, alice, alice_client, send, topic, told):
        send(alice_client, "post", "/api/topics/", {"chapter": topic.chapter_id, "title": "x", "explanation": TEXT})
        body = {"title": "x", "chapters": [{"title": "y", "topics": [{"title": "z", "explanation": TEXT}]}]}
        send(alice_client, "post", "/api/notes/", body)

        made = list(Topic.objects.filter(explanation=TEXT))
        assert len(made) == 3
        assert all(topic.blocks for topic in made)
        assert len({block_id for one in made for block_id in blocks_of(alice, one)}) == 12
        assert told == []

    def test_a_moved_topic_takes_them_along(self, alice, topic, make_note, told):
        before = blocks_of(alice, topic)
        other = make_note(alice, 0).chapters.get()

        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        assert (blocks_of(alice, topic), told) == (before, [])

    def test_an_ai_answer_keeps_ids_and_tells(self, alice, topic, told):
        before = list(blocks_of(alice, topic))
        better = TEXT.replace("A loop repeats its body.", "A loop repeats its body, again and again.")

        assert services.apply_ai_answer(
            user_id=alice.pk, topic_id=topic.pk, expected_hash=text_hash(TEXT), explanation=better
        )

        assert list(blocks_of(alice, topic)) == before
        assert told == [([topic.pk], {before[1]: "A loop repeats its body, again and again.\n\n"}, [])]

    def test_generated_code_leaves_them(self, alice, topic, told):
        assert services.apply_ai_answer(
            user_id=alice.pk, topic_id=topic.pk, expected_hash=text_hash("", ""), code="x", code_language="py"
        )

        assert (Topic.objects.get(pk=topic.pk).blocks, told) == (topic.blocks, [])

    def test_a_deleted_topic_and_chapter_tell_which_are_gone(self, alice, topic, told):
        other = topic.chapter.topics.last()
        hers, others = list(blocks_of(alice, topic)), list(blocks_of(alice, other))

        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        services.delete_chapter(user_id=alice.pk, chapter_id=topic.chapter_id)

        assert told == [([topic.pk], {}, hers), ([other.pk], {}, others)]

    def test_what_a_listener_raises_undoes_the_write(self, alice, topic):
        def refuse(topic_ids, changed, removed):
            raise RuntimeError("no")

        on_blocks_changed(refuse)
        try:
            with pytest.raises(RuntimeError):
                write(alice, topic, "")
        finally:
            off_blocks_changed(refuse)

        assert Topic.objects.get(pk=topic.pk).explanation == TEXT

    def test_a_listener_is_told_once_though_it_registers_twice(self, alice, topic):
        calls = []

        def hear(*args):
            calls.append(args)

        on_blocks_changed(hear)
        on_blocks_changed(hear)
        write(alice, topic, "")
        off_blocks_changed(hear)
        write(alice, topic, "x")

        assert len(calls) == 1


class TestRestoring:
    def restore(self, topic, version):
        note = topic.chapter.note
        services.restore_version(user_id=note.user_id, note_id=note.pk, version=version)

    def kept(self, alice, topic):
        """Keep the note as it is now; return its version."""
        services.apply_ai_answer(
            user_id=alice.pk,
            topic_id=topic.pk,
            expected_hash=text_hash(topic.code, topic.code_language),
            code=topic.code,
            code_language=topic.code_language,
        )
        return NoteVersion.objects.order_by("-version").values_list("version", flat=True)[0]

    def test_a_restored_text_has_the_same_ids_and_tells_what_came_back(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        write(alice, topic, "Something else.")
        new = list(blocks_of(alice, topic))
        told.clear()

        self.restore(topic, version)

        assert blocks_of(alice, topic) == before
        assert told == [([topic.pk], before, new)]

    def test_a_deleted_topic_comes_back_with_its_id_and_theirs(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        told.clear()

        self.restore(topic, version)

        assert blocks_of(alice, topic) == before
        assert told == [([topic.pk], before, [])]

    def test_one_whose_original_lives_in_another_note_gets_new_ones(self, alice, topic, make_note, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        other = make_note(alice, 0).chapters.get()
        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        self.restore(topic, version)

        copy = Topic.objects.exclude(pk=topic.pk).get(explanation=TEXT)
        assert not blocks_of(alice, copy).keys() & before.keys()
        assert (blocks_of(alice, topic), told) == (before, [])
        self.restore(topic, version)
        assert Topic.objects.get(pk=topic.pk).chapter_id == other.pk

    def test_one_that_came_back_and_moved_on_is_not_brought_back_twice(self, alice, topic, make_note):
        version = self.kept(alice, topic)
        services.delete_topic(user_id=alice.pk, topic_id=topic.pk)
        self.restore(topic, version)
        other = make_note(alice, 0).chapters.get()
        services.move_topic(user_id=alice.pk, topic_id=topic.pk, chapter_id=other.pk, order=0)

        self.restore(topic, version)

        found = [block_id for one in Topic.objects.all() for block_id in blocks_of(alice, one)]
        assert len(found) == len(set(found))

    def test_a_version_without_ids_is_matched_by_text(self, alice, topic, told):
        before = blocks_of(alice, topic)
        version = self.kept(alice, topic)
        kept = NoteVersion.objects.get(version=version)
        kept.snapshot = whole_snapshot(kept)  # as versions of the schema before hold it
        for chapter in kept.snapshot["chapters"]:
            for one in chapter["topics"]:
                one.pop("blocks", None)
        kept.save()
        write(alice, topic, TEXT.replace("# Loops\n\n", "") + "\nNew.")
        told.clear()

        self.restore(topic, version)

        after = list(blocks_of(alice, topic))
        assert after[1:] == list(before)[1:]
        assert after[0] not in before
        assert told[0][2]
        assert len(told) == 1

    def test_topics_that_the_version_has_not_are_told_as_gone(self, alice, topic, told):
        version = self.kept(alice, topic)
        later = services.create_topic(
            user_id=alice.pk, chapter_id=topic.chapter_id, data={"title": "x", "explanation": "later"}
        )
        gone = list(blocks_of(alice, later))

        self.restore(topic, version)

        assert told == [([later.pk], {}, gone)]


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
