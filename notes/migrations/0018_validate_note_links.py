from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0017_notes_of_note_links")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE notes_notelink VALIDATE CONSTRAINT notes_notelink_{column}_fk", migrations.RunSQL.noop
        )
        for column in ("user_id", "meant_id")
    ]
