from django.db import migrations

import notes.derived


class Migration(migrations.Migration):
    dependencies = [("notes", "0009_words_of_notes")]

    operations = [migrations.AddField("chapter", "words", notes.derived.WordsField(editable=False, null=True))]
