"""Notes with passages, and what a server of embeddings was asked about them."""

from datetime import timedelta

from django.utils import timezone

from ai_tasks.embedding_rows import EmbeddingModel, NoteIndexing
from notes import services
from notes.models import Note, Topic
from tests.embedding_behaviours import meaning
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

CAR = "A car drives on the motorway."
CAT = "The kitten is a feline that can purr."
TEXT = f"# A heading of some length\n\n{CAR}\n\n- short\n\n{CAT}\n"


def note_of(user, *texts: str) -> Note:
    chapter = ChapterFactory(note=NoteFactory(user=user))
    for order, text in enumerate(texts):
        TopicFactory(chapter=chapter, explanation=text, order=order)
    return chapter.note


def write(user, topic: Topic, text: str) -> None:
    services.update_topic(user_id=user.pk, topic_id=topic.pk, changes={"explanation": text}, if_match=None)


def topic_of(note: Note) -> Topic:
    return Topic.objects.filter(chapter__note=note).earliest("order")


def unit(text: str) -> list[float]:
    """What is stored for a text that speaks of one thing."""
    return [float(number > 0) for number in meaning(text)]


def make_due() -> None:
    """As if everybody had left the notes alone for a while, and the provider, too."""
    NoteIndexing.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))
    EmbeddingModel.objects.update(paused_until=None)


def asked(server) -> list[str]:
    return [text for texts in server.state.embedded for text in texts]
