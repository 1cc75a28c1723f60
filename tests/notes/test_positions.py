"""Whatever is done to chapters and topics, and by however many at once, places run from 0 without gaps."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts.models import User
from notes import services
from notes.models import Chapter, Note, Topic
from tests.factories import UserFactory

THREADS = 8
NUMBERS = st.integers(0, 99)  # taken modulo what there is, and one more, so that some places do not exist
ACTIONS = st.tuples(st.sampled_from(["add", "delete", "move"]), st.booleans(), NUMBERS, NUMBERS, NUMBERS)


class Lists:
    """What the database must agree with: notes as lists of (chapter id, list of topic ids)."""

    def __init__(self, user_id, notes):
        self.user_id = user_id
        self.notes = {note.pk: [] for note in notes}

    @property
    def chapters(self):
        return [chapter for chapters in self.notes.values() for chapter in chapters]

    def places(self, topics):
        """(parent's id, list of children) for each parent."""
        return self.chapters if topics else list(self.notes.items())

    def add(self, topics, parent, place, _):
        parent_id, children = pick(self.places(topics), parent)
        place %= len(children) + 2
        if topics:
            arguments = {"chapter_id": parent_id, "data": {"title": "new"}}
            create = services.create_topic
        else:
            arguments = {"note_id": parent_id, "title": "new"}
            create = services.create_chapter
        if allowed(place, len(children), create, user_id=self.user_id, order=place, **arguments):
            pk = (Topic if topics else Chapter).objects.latest("pk").pk
            children.insert(place, pk if topics else (pk, []))

    def delete(self, topics, parent, child, _):
        _, children = pick(self.places(topics), parent)
        if children:
            row = pick(children, child)
            children.remove(row)
            if topics:
                services.delete_topic(user_id=self.user_id, topic_id=row)
            else:
                services.delete_chapter(user_id=self.user_id, chapter_id=row[0])

    def move(self, topics, parent, place, target):
        _, children = pick(self.places(topics), parent)
        if not children:
            return
        row = pick(children, place)
        target_id, siblings = pick(self.places(topics), target)
        place %= len(siblings) + 2
        last = len(siblings) - (siblings is children)
        if topics:
            arguments = {"topic_id": row, "chapter_id": target_id}
            move = services.move_topic
        else:
            arguments = {"chapter_id": row[0], "note_id": target_id}
            move = services.move_chapter
        if allowed(place, last, move, user_id=self.user_id, order=place, **arguments):
            children.remove(row)
            siblings.insert(place, row)


def pick(rows, number):
    return rows[number % len(rows)]


def allowed(place, last, call, **arguments):
    """Make the call, which must be refused if the place is beyond the last one."""
    if place <= last:
        call(**arguments)
        return True
    with pytest.raises(services.OrderOutOfRange):
        call(**arguments)
    return False


def stored(note_id):
    """The note as the database has it; fails if places are not 0, 1, 2, ..."""
    chapters = list(Chapter.objects.filter(note=note_id).order_by("order"))
    assert [chapter.order for chapter in chapters] == list(range(len(chapters)))
    found = []
    for chapter in chapters:
        topics = list(Topic.objects.filter(chapter=chapter).order_by("order"))
        assert [topic.order for topic in topics] == list(range(len(topics)))
        found.append((chapter.pk, [topic.pk for topic in topics]))
    return found


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # shrinking takes minutes where an example takes a database
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(actions=st.lists(ACTIONS, max_size=15))
def test_orders_are_those_of_a_list_after_any_actions(db, make_note, actions):
    user = UserFactory()
    notes = [make_note(user, 2, 0), make_note(user)]
    lists = Lists(user.pk, notes)
    for note in notes:
        lists.notes[note.pk] = stored(note.pk)

    for action, topics, *numbers in actions:
        if lists.places(topics):
            getattr(lists, action)(topics, *numbers)

    assert {note.pk: stored(note.pk) for note in notes} == lists.notes
    connection.check_constraints()


def at_once(*calls):
    """Run the calls at the same moment, each on a connection of its own; what each returned, or the error it raised."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        try:
            barrier.wait(timeout=60)
            return call()
        except (services.MovedMeanwhile, services.NoteChanged, Chapter.DoesNotExist, Topic.DoesNotExist) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def created(user: User, data: services.NoteData) -> Note:
    return Note.objects.get(pk=services.create_note(user_id=user.pk, data=data)["id"])


@pytest.mark.django_db(transaction=True)
def test_writers_at_once_take_different_places():
    user = UserFactory()
    note = created(user, {"title": "n", "chapters": [{"title": "c"}]})
    (chapter,) = note.chapters.all()

    made = at_once(
        *[
            lambda: services.create_topic(user_id=user.pk, chapter_id=chapter.pk, data={"title": "t"}, order=0)
            for _ in range(THREADS)
        ]
    )

    assert sorted(topic.version for topic in made) == list(range(2, THREADS + 2))
    ((_, topics),) = stored(note.pk)
    assert set(topics) == {topic.pk for topic in made}


@pytest.mark.django_db(transaction=True)
def test_moves_in_opposite_directions_wait_for_each_other_without_deadlock():
    user = UserFactory()
    data = {"title": "n", "chapters": [{"title": "c", "topics": [{"title": f"t{i}"} for i in range(6)]}]}
    notes = [created(user, data) for _ in range(2)]
    chapters = [note.chapters.all()[0] for note in notes]

    def move(topic_id, chapter_id):
        return lambda: services.move_topic(user_id=user.pk, topic_id=topic_id, chapter_id=chapter_id, order=0)

    moves = [
        move(topic.pk, there.pk)
        for here, there in (chapters, reversed(chapters))
        for topic in list(here.topics.all())[:4]
    ]
    results = at_once(*moves)

    assert not [result for result in results if isinstance(result, Exception)]
    assert [len(topics) for note in notes for _, topics in stored(note.pk)] == [6, 6]
    assert set(Note.objects.values_list("version", flat=True)) == {9}


@pytest.mark.django_db(transaction=True)
def test_of_several_deletions_of_one_topic_one_counts():
    user = UserFactory()
    data = {"title": "n", "chapters": [{"title": "c", "topics": [{"title": f"t{i}"} for i in range(3)]}]}
    note = created(user, data)
    first = note.chapters.all()[0].topics.all()[0]

    results = at_once(*[lambda: services.delete_topic(user_id=user.pk, topic_id=first.pk) for _ in range(THREADS)])

    assert results.count(None) == 1
    ((_, topics),) = stored(note.pk)
    assert len(topics) == 2
    assert Note.objects.get().version == 2


@pytest.mark.django_db(transaction=True)
def test_of_several_writers_who_saw_one_version_one_wins():
    user = UserFactory()
    note = created(user, {"title": "n"})

    results = at_once(
        *[
            lambda i=i: services.update_note(
                user_id=user.pk, note_id=note.pk, changes={"title": f"from {i}"}, if_match=[1]
            )["title"]
            for i in range(THREADS)
        ]
    )

    (won,) = [result for result in results if isinstance(result, str)]
    assert {result.extra["current_version"] for result in results if result != won} == {2}
    assert Note.objects.get().title == won
