from django.db import migrations

import notes.derived


class Migration(migrations.Migration):
    dependencies = [("notes", "0008_trash_counts_from_now")]

    operations = [migrations.AddField("note", "words", notes.derived.WordsField(editable=False, null=True))]
