from django.db import migrations

import notes.derived


class Migration(migrations.Migration):
    dependencies = [("notes", "0012_index_words")]

    operations = [
        migrations.AddField(
            "note", "title_key", notes.derived.TitleKeyField(db_collation="C", db_default="", editable=False)
        )
    ]
