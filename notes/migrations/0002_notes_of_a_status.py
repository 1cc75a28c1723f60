from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notes", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            model_name="note",
            index=models.Index(
                models.F("user"),
                models.F("status"),
                models.OrderBy(models.F("updated_at"), descending=True),
                models.OrderBy(models.F("id"), descending=True),
                condition=models.Q(("deleted_at", None)),
                name="note_live_status_idx",
            ),
        ),
    ]
