from django.db import migrations

import notes.derived


class Migration(migrations.Migration):
    dependencies = [("notes", "0010_words_of_chapters")]

    operations = [migrations.AddField("topic", "words", notes.derived.WordsField(editable=False, null=True))]
