from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0023_attachments_of_cards")]
    operations = [
        AddIndexConcurrently(
            "note",
            models.Index(
                "user",
                F("updated_at").desc(),
                F("id").desc(),
                name="note_trash_updated_idx",
                condition=Q(deleted_at__isnull=False),
            ),
        ),
    ]
