from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0011_words_of_topics")]

    operations = [
        AddIndexConcurrently("note", GinIndex(fields=["words"], name="note_words_idx")),
        AddIndexConcurrently("chapter", GinIndex(fields=["words"], name="chapter_words_idx")),
        AddIndexConcurrently("topic", GinIndex(fields=["words"], name="topic_words_idx")),
        AddIndexConcurrently(
            "note",
            models.Index(fields=["user"], name="note_without_words_idx", condition=models.Q(("words", None))),
        ),
    ]
