from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0013_title_key")]

    operations = [
        AddIndexConcurrently(
            "note",
            models.Index(
                "user", "title_key", "id", name="note_live_title_key_idx", condition=models.Q(deleted_at=None)
            ),
        )
    ]
