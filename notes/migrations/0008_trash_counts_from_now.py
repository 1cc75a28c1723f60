"""From now on notes are deleted after ``TRASH_DAYS`` in the trash; for those already in it, the days begin now."""

from django.db import migrations
from django.db.models.functions import Now
from django.utils import timezone

BATCH = 1000


def begin_the_days(apps, schema_editor):
    notes = apps.get_model("notes", "Note").objects.filter(deleted_at__lt=timezone.now())
    while batch := list(notes.order_by("deleted_at").values_list("pk", flat=True)[:BATCH]):
        notes.filter(pk__in=batch).update(deleted_at=Now())


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("notes", "0007_shared_versions")]

    operations = [migrations.RunPython(begin_the_days, migrations.RunPython.noop)]
