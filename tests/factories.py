"""Rows for tests, with the least that makes them valid."""

from datetime import UTC, datetime, timedelta

import factory
from django.utils import timezone

from accounts.models import Session, User
from ai_tasks.models import AITask, Proposal
from notes.blocks.hunks import START, Hunk, Layout
from notes.models import Attachment, Chapter, Note, Topic
from notifications.models import Notification
from study.models import Card, Exam
from study.services import create_card
from utils.storage import new_name


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


class AttachmentFactory(factory.django.DjangoModelFactory):
    """A row whose file is not stored."""

    class Meta:
        model = Attachment

    note = factory.SubFactory(NoteFactory)
    user = factory.LazyAttribute(lambda attachment: attachment.note.user)
    name = factory.Sequence(lambda n: f"photo {n}.png")
    content_type = Attachment.ContentType.PNG
    size = 100
    file = factory.LazyFunction(lambda: new_name("attachments"))


class AITaskFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = AITask

    user = factory.SubFactory(UserFactory)
    request_type = AITask.RequestType.GENERATE_EXPLANATION
    request_data = factory.LazyFunction(lambda: {"topic": "Python loops"})


class ProposalFactory(factory.django.DjangoModelFactory):
    """A proposal to put a heading before what the topic says."""

    class Meta:
        model = Proposal

    user = factory.LazyAttribute(lambda proposal: proposal.topic.chapter.note.user)
    topic = factory.SubFactory(TopicFactory)
    task = factory.LazyAttribute(lambda proposal: AITaskFactory(user=proposal.user, topic=proposal.topic))
    field = Proposal.Field.EXPLANATION
    base_version = 1
    hunks = factory.LazyFunction(lambda: [Hunk(1, "insert", None, None, None, "# Heading").as_json()])
    layout = factory.LazyFunction(lambda: Layout([(START, "")], [(START, ""), (1, "")]).as_json())


class NotificationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Notification

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Notification {n}")


class ExamFactory(factory.django.DjangoModelFactory):
    """An exam in two weeks, about all cards with the tag `cells`."""

    class Meta:
        model = Exam

    user = factory.SubFactory(UserFactory)
    title = factory.Sequence(lambda n: f"Exam {n}")
    at = factory.LazyFunction(lambda: timezone.now() + timedelta(days=14))
    time_zone = "UTC"
    tags = ["cells"]
    minutes_per_day = [30] * 7
    target = 0.9


class CardFactory(factory.django.DjangoModelFactory):
    """A card with its faces, made as students make theirs."""

    class Meta:
        model = Card

    user = factory.SubFactory(UserFactory)
    front = factory.Sequence(lambda n: f"Question {n}")
    back = factory.Sequence(lambda n: f"Answer {n}")

    @classmethod
    def _create(cls, model_class, *, user, pk=None, **data):
        if pk is None:
            return create_card(user_id=user.pk, data=data).card
        return create_card(user_id=user.pk, data={"id": pk, **data}).card
