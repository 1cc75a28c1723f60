from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0025_words_due")]
    operations = [
        AddIndexConcurrently(
            "note",
            models.Index(
                fields=["user", "words_due_at"], name="note_words_due_idx", condition=Q(words_due_at__isnull=False)
            ),
        )
    ]
