"""The façade of reads: what each query costs, whose rows it gives, and what the helpers promise."""

import subprocess
import sys
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import User
from ai_tasks.models import AITask
from notes.models import Chapter, Note, Topic
from tests.factories import (
    AITaskFactory,
    ChapterFactory,
    NoteFactory,
    NotificationFactory,
    SessionFactory,
    TopicFactory,
    UserFactory,
)
from utils.page_cache.keys import NAME_MAX_LENGTH
from utils.query_optimization import CacheOptimizer, QueryOptimizer, batch_query, cached_query

COUNTS = [1, 10, 100]


@pytest.mark.parametrize("count", COUNTS)
def test_a_list_of_notes_is_one_query_that_any_serializer_can_use(alice, count, django_assert_num_queries):
    for note in NoteFactory.create_batch(count, user=alice, tags=["python"], status="published"):
        TopicFactory(chapter=ChapterFactory(note=note))

    with django_assert_num_queries(1):
        notes = QueryOptimizer.get_notes_for_list(user=alice, filters={"status": "published", "tags": ["python"]})
        shown = [
            (note.title, note.status, note.tags, note.version, note.updated_at, note.chapter_count, note.topic_count)
            for note in notes
        ]

    assert len(shown) == count
    assert notes.filter(title=shown[0][0]).count() == 1  # an ordinary queryset


def test_orders_end_in_the_id_and_unknown_ones_are_refused(alice):
    order = QueryOptimizer.get_notes_for_list(alice, {"ordering": "-title"}).query.order_by

    assert order == ("-title_key", "-id")
    with pytest.raises(ValueError, match="cannot be ordered by 'version'"):
        QueryOptimizer.get_notes_for_list(alice, {"ordering": "version"})


@pytest.mark.parametrize("count", COUNTS)
def test_a_note_with_all_that_is_in_it_is_three_queries(alice, count, django_assert_num_queries):
    note = NoteFactory(user=alice)
    for chapter in ChapterFactory.create_batch(count, note=note):
        TopicFactory(chapter=chapter)

    with django_assert_num_queries(3):
        found = QueryOptimizer.get_note_detail(note.pk, alice)
        topics = [
            (chapter.order, topic.title, topic.explanation, topic.code, topic.code_language, topic.sources)
            for chapter in found.chapters.all()
            for topic in chapter.topics.all()
        ]

    assert [topic[0] for topic in topics] == list(range(count))


@pytest.mark.parametrize("count", COUNTS)
def test_chapters_and_topics_are_one_query_each(alice, count, django_assert_num_queries):
    note = NoteFactory(user=alice)
    ChapterFactory.create_batch(count, note=note)
    chapter = note.chapters.first()
    TopicFactory.create_batch(count, chapter=chapter)

    with django_assert_num_queries(1):
        chapters = [(row.order, row.version) for row in QueryOptimizer.get_chapters_optimized(note.pk, alice)]
    with django_assert_num_queries(1):
        topics = [(row.order, row.version) for row in QueryOptimizer.get_topics_optimized(chapter.pk, alice)]

    assert chapters == topics == [(order, 1) for order in range(count)]


def test_topics_without_a_user_are_for_code_that_has_checked_ownership(alice, charlie):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))

    assert list(QueryOptimizer.get_topics_optimized(chapter_id=topic.chapter_id)) == [topic]
    assert list(QueryOptimizer.get_topics_optimized(topic.chapter_id, charlie)) == []


@pytest.mark.parametrize("count", COUNTS)
def test_tasks_are_one_query_without_their_results(alice, count, django_assert_num_queries):
    tasks = AITaskFactory.create_batch(count, user=alice, result={"content": "long"})
    AITaskFactory(user=alice, status=AITask.Status.FAILED)

    with django_assert_num_queries(1) as queries:
        found = list(QueryOptimizer.get_tasks_for_list(alice, {"status": "queued"}))

    assert found == sorted(tasks, key=lambda task: (task.created_at, task.pk), reverse=True)
    assert '"result"' not in queries[0]["sql"]


@pytest.mark.parametrize("count", [1, 10, 100])
def test_usage_is_one_query_about_ones_own_tasks(alice, charlie, count, django_assert_num_queries):
    AITaskFactory.create_batch(count, user=alice, input_tokens=3, output_tokens=2)
    AITaskFactory(user=charlie, input_tokens=100)

    with django_assert_num_queries(1):
        usage = QueryOptimizer.get_usage_today(alice)

    assert usage == {
        "tasks_today": count,
        "input_tokens_today": 3 * count,
        "output_tokens_today": 2 * count,
        "estimated": False,
        "features": {
            "generate_explanation": {
                "tasks": count,
                "input_tokens": 3 * count,
                "output_tokens": 2 * count,
                "estimated": False,
                "cost": None,
                "reserved": 0,
            }
        },
        "budget": {"spent": 0, "reserved": 0, "limit": None},
    }


def test_tasks_of_a_topic(alice):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))
    task = AITaskFactory(user=alice, topic=topic)
    AITaskFactory(user=alice)

    assert list(QueryOptimizer.get_tasks_for_list(alice, {"topic_id": topic.pk})) == [task]


@pytest.mark.parametrize("count", COUNTS)
def test_notifications_and_sessions_are_one_query_each(alice, count, django_assert_num_queries):
    NotificationFactory.create_batch(count, user=alice)
    SessionFactory.create_batch(count, user=alice)
    SessionFactory(user=alice, revoked_at=timezone.now())

    with django_assert_num_queries(1):
        created = [row.created_at for row in QueryOptimizer.get_notifications_for_list(alice)]
    with django_assert_num_queries(1):
        sessions = [row.pk for row in QueryOptimizer.get_sessions_for_list(alice)]

    assert (len(created), len(sessions)) == (count, count)
    assert created == sorted(created, reverse=True)
    assert sessions == sorted(sessions, reverse=True)


def test_a_profile_is_one_query_without_the_password(alice, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        profile = QueryOptimizer.get_user_profile(alice.pk)
        assert (profile.email, profile.name, profile.is_staff) == ("alice@example.com", "Alice", False)

    assert '"password"' not in queries[0]["sql"]


def test_a_stranger_finds_nothing(alice, charlie):
    note = NoteFactory(user=alice, tags=["hers"])
    topic = TopicFactory(chapter=ChapterFactory(note=note))
    task = AITaskFactory(user=alice)
    NotificationFactory(user=alice)
    SessionFactory(user=alice)

    for rows in (
        QueryOptimizer.get_notes_for_list(charlie),
        QueryOptimizer.get_chapters_optimized(note.pk, charlie),
        QueryOptimizer.get_topics_optimized(topic.chapter_id, charlie),
        QueryOptimizer.get_versions_for_list(note.pk, charlie),
        QueryOptimizer.get_tags(charlie),
        QueryOptimizer.get_tasks_for_list(charlie),
        QueryOptimizer.get_notifications_for_list(charlie),
        QueryOptimizer.get_sessions_for_list(charlie),
    ):
        assert list(rows) == []
    for read, error in (
        (lambda: QueryOptimizer.get_note_detail(note.pk, charlie), Note.DoesNotExist),
        (lambda: QueryOptimizer.require_note(note.pk, charlie), Note.DoesNotExist),
        (lambda: QueryOptimizer.get_chapter_detail(topic.chapter_id, charlie), Chapter.DoesNotExist),
        (lambda: QueryOptimizer.require_chapter(topic.chapter_id, charlie), Chapter.DoesNotExist),
        (lambda: QueryOptimizer.get_topic_detail(topic.pk, charlie), Topic.DoesNotExist),
        (lambda: QueryOptimizer.get_task_detail(task.pk, charlie), AITask.DoesNotExist),
    ):
        with pytest.raises(error):
            read()


# --- batch_query ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3])])
def test_batches_walk_the_primary_key(db, count, sizes):
    users = UserFactory.create_batch(count)

    batches = list(batch_query(User.objects.all(), batch_size=3))

    assert [len(batch) for batch in batches] == sizes
    assert [user for batch in batches for user in batch] == users


def test_batches_keep_filters_and_pass_over_a_models_own_order(alice):
    note = NoteFactory(user=alice)
    chapters = [ChapterFactory(note=note, order=order) for order in (2, 1, 0)]
    ChapterFactory()

    assert list(batch_query(Chapter.objects.filter(note=note), batch_size=2)) == [chapters[:2], chapters[2:]]


def test_batches_walk_uuids_too(alice):
    tasks = AITaskFactory.create_batch(5, user=alice)

    batches = list(batch_query(AITask.objects.all(), batch_size=2))

    assert {task.pk for batch in batches for task in batch} == {task.pk for task in tasks}
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_rows_that_come_or_go_meanwhile_make_none_be_skipped_or_repeated(db):
    users = UserFactory.create_batch(6)
    walk = batch_query(User.objects.all(), batch_size=2)

    seen = next(walk)
    users[0].delete()  # an OFFSET would skip one now
    users[4].delete()
    late = UserFactory()
    for batch in walk:
        seen += batch

    assert [user.email for user in seen] == [user.email for user in [*users[:4], users[5], late]]


def test_a_late_batch_costs_what_the_first_one_cost(db, django_assert_num_queries):
    UserFactory.create_batch(6)

    with django_assert_num_queries(4) as queries:
        list(batch_query(User.objects.all(), batch_size=2))

    assert not [query for query in queries if "OFFSET" in query["sql"]]


@pytest.mark.parametrize(
    "queryset",
    [
        Note.objects.all()[:10],
        Note.objects.order_by("title"),
        Note.objects.order_by("-pk"),
        Note.objects.values("id"),
        Note.objects.values_list("id"),
        Note.objects.dates("created_at", "day"),
        Note.objects.distinct("title"),
        Note.objects.all().union(Note.objects.all()),
    ],
)
def test_what_cannot_be_walked_is_refused_at_once(queryset):
    with pytest.raises(ValueError, match=r"batch_query|primary key"):
        batch_query(queryset)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_row(size):
    with pytest.raises(ValueError, match="at least 1"):
        batch_query(Note.objects.all(), batch_size=size)


# --- Cache keys and cached queries ------------------------------------------------------------------------------------


def test_a_key_is_the_same_for_the_same_arguments_in_any_order():
    assert CacheOptimizer.get_cache_key("notes", 1, status="x", tags=["a"]) == CacheOptimizer.get_cache_key(
        "notes", 1, tags=["a"], status="x"
    )
    assert CacheOptimizer.get_cache_key("notes", tags={"b", "a", "c"}) == CacheOptimizer.get_cache_key(
        "notes", tags={"c", "a", "b"}
    )


def test_different_arguments_have_different_keys():
    arguments = [
        ((), {}),
        (("a",), {}),
        (("a", "b"), {}),
        (("a:b",), {}),
        (("b", "a"), {}),
        ((1,), {}),
        (("1",), {}),
        ((None,), {}),
        ((), {"a": 1}),
        ((), {"a": "1"}),
        ((), {"a": [1, 2]}),
        ((), {"a": [2, 1]}),
        ((), {"a": 1, "b": 2}),
        (("x" * 1000,), {}),
        (("x" * 999 + "y",), {}),
        ((UUID(int=1),), {}),
        ((datetime(2026, 1, 1, tzinfo=UTC),), {}),
    ]
    keys = [CacheOptimizer.get_cache_key("n", *parts, **params) for parts, params in arguments]

    assert len(set(keys)) == len(keys)
    assert all(len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key for key in keys)
    assert CacheOptimizer.get_cache_key("n" * 300) != CacheOptimizer.get_cache_key("n" * 301)


def test_a_key_that_is_too_long_keeps_the_beginning_of_its_name_and_a_digest():
    name, digest = CacheOptimizer.get_cache_key("n" * 300, "x").split(":")

    assert (name, len(digest)) == ("n" * (NAME_MAX_LENGTH - 41), 40)


def test_a_key_is_the_same_in_another_process():
    key = CacheOptimizer.get_cache_key("notes", "x" * 500, tags={"a", "b", "c"})
    code = (
        "import django; django.setup()\n"
        "from utils.query_optimization import CacheOptimizer\n"
        "print(CacheOptimizer.get_cache_key('notes', 'x' * 500, tags={'a', 'b', 'c'}))"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "NoteAssist_AI.settings", "PYTHONHASHSEED": "7", "ENVIRONMENT": "test"}

    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert other.stdout.strip() == key


@pytest.mark.django_db(transaction=True)
def test_forgetting_a_users_pages_makes_the_next_request_read_the_database(
    alice, alice_client, django_assert_num_queries
):
    note = NoteFactory(user=alice, title="old")

    def title():
        return alice_client.get("/api/notes/").json()["results"][0]["title"]

    for forget in (
        lambda: CacheOptimizer.invalidate_user_cache(user_id=alice.pk),
        lambda: CacheOptimizer.invalidate_note_cache(note.pk, alice.pk),
        lambda: CacheOptimizer.invalidate_note_cache(note.pk),
    ):
        Note.objects.update(title="old")
        forget()
        assert title() == "old"
        Note.objects.update(title="new")
        assert title() == "old"  # behind the services' back
        forget()
        assert title() == "new"
    with django_assert_num_queries(1):
        CacheOptimizer.invalidate_note_cache(2**40)


def test_a_cached_query_is_asked_once_for_each_key(db, django_assert_num_queries):
    UserFactory.create_batch(2, name="Ada")

    @cached_query(lambda name: CacheOptimizer.get_cache_key("users", name), timeout=60)
    def emails(name):
        return User.objects.filter(name=name).order_by("pk").values_list("email", flat=True)

    with django_assert_num_queries(1):
        first = emails("Ada")
        assert emails("Ada") == first
    assert len(first) == 2
    assert emails("Grace") == []
    with django_assert_num_queries(0):
        assert emails("Grace") == []
    cache.delete(CacheOptimizer.get_cache_key("users", "Ada"))
    with django_assert_num_queries(1):
        emails("Ada")


def test_a_cached_none_is_an_answer():
    calls = []

    @cached_query("nothing", timeout=60)
    def nothing():
        calls.append(1)

    assert (nothing(), nothing()) == (None, None)
    assert len(calls) == 1
    assert 0 < cache.ttl("nothing") <= 60


def test_a_cached_query_works_without_a_cache(db, dead_redis, settings):
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "unix:///nonexistent/redis.sock?db=0"},
    }

    @cached_query("users", timeout=60)
    def users():
        return User.objects.count()

    assert users() == 0
    UserFactory()
    assert users() == 1
