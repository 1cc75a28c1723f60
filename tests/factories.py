"""Rows for tests, with the least that makes them valid."""

from datetime import UTC, datetime, timedelta

import factory

from accounts.models import Session, User
from ai_tasks.models import AITask
from notes.models import Chapter, Note, Topic
from notifications.models import Notification


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    email = factory.Sequence(lambda n: f"student{n}@example.com")
    name = factory.Sequence(lambda n: f"Student {n}")
    password = "!"  # unusable: hashing one takes 20 ms


class SessionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Session

    user = factory.SubFactory(UserFactory)
    expires_at = factory.LazyFunction(lambda: datetime.now(UTC) + timedelta(days=30))


class NoteFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Note

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Note {n}")
    tags = factory.LazyFunction(list)


class ChapterFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Chapter

    note = factory.SubFactory(NoteFactory)
    title = factory.Sequence(lambda n: f"Chapter {n}")
    order = factory.LazyAttribute(lambda chapter: chapter.note.chapters.count())


class TopicFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Topic

    chapter = factory.SubFactory(ChapterFactory)
    title = factory.Sequence(lambda n: f"Topic {n}")
    order = factory.LazyAttribute(lambda topic: topic.chapter.topics.count())


class AITaskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = AITask

    user = factory.SubFactory(UserFactory)
    request_type = AITask.RequestType.GENERATE_EXPLANATION
    request_data = factory.LazyFunction(lambda: {"topic": "Python loops"})


class NotificationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Notification

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Notification {n}")
