"""The blocks of a topic in tests: read and written by services."""

from accounts.models import User
from notes import services
from notes.models import Topic

TEXT = "# Loops\n\nA loop repeats its body.\n\n- one\n- two\n\n```py\nwhile True: ...\n```\n"


def blocks_of(user: User, topic: Topic) -> dict[str, str]:
    """Each block's text by its id, in their order."""
    return {block.id: block.text for block in services.get_blocks(user_id=user.pk, topic_id=topic.pk).blocks}


def write(user: User, topic: Topic, text: str) -> None:
    services.update_topic(user_id=user.pk, topic_id=topic.pk, changes={"explanation": text})


def without_blocks(topic: Topic) -> None:
    """As a topic from before there were blocks."""
    Topic.objects.filter(pk=topic.pk).update(blocks=None)
